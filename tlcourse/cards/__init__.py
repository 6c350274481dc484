"""Cards: one TOML file for each data set and model that the course uses or ships.

A card says what something is, its licence, where it is on the web and what its bytes must be. Cards
read only their own files; `tlcourse.supply` does the fetching.

    name = "mobilenetv2"             # the file's name; also the name for `fetch` and the loaders
    title = "…"                      # one line in a table
    kind = "model"                   # "data" or "model"
    licence = "Apache-2.0"           # SPDX, or a sentence
    source_url = "https://…"         # where to read about it
    citation = "…"                   # whom to cite
    description = "…"                # a paragraph
    embedded = "…"                   # only if nothing is fetched: what is used instead

    [package]                        # only if the files are in an installed Python package:
    name = "tlcourse"                #   its import name
    folder = "models/weights"        #   the folder inside it; assets' paths are relative to it

    [[assets]]                       # one file
    path = "weights.tflite"          # its place below the card's folder
    bytes = 4070174
    sha256 = "5d31…"                 # 64 hex digits
    urls = ["https://…"]             # tried in order; none in an embedded card

    [[assets]]                       # or an archive; only the manifest's members are used
    archive = "tar.gz"               # or "zip"
    urls = ["https://…"]
    manifest = "caltech24.tsv"       # beside the card: path, bytes and sha256 of every member
    strip = 1                        # leading folders to drop from members' names
    at_most_bytes = 400000000        # a longer download is refused (an archive's size may vary)

    [hub]                            # only for a model of the Hugging Face hub, in hub/NAME.toml
    repo = "facebook/dinov2-small"
    revision = "ed25f3a3…"           # the commit; in an unpinned card, also a branch or tag
    files = ["config.json", "…"]     # the wanted files
    parameters = 22056576            # numbers in its weights
    loads = "hf/dinov2-small"        # its name for `load_model`: timm/REPO, hf/NAME or hf/OWNER/REPO;
                                     #   left out if that cannot load it

A card with `[package]` and no `urls` is embedded. With both, the package's files are used in place
if they are present and their hashes fit, else those from the web.

A card with `[hub]` and no assets is *unpinned*: `get` refuses it, so nothing can be fetched.
`tlcourse cards pin NAME` asks the hub for the commit and every hash, and writes the assets.
"""

from tlcourse.cards.card import Asset, Card, File, Hub
from tlcourse.cards.counts import Gives, gives
from tlcourse.cards.shelf import (
    changes,
    get,
    hub,
    hub_card,
    hub_names,
    names,
    pins,
    read_hub_card,
    refuse_foreign,
    shipped,
)

__all__ = [
    "Asset",
    "Card",
    "File",
    "Gives",
    "Hub",
    "changes",
    "get",
    "gives",
    "hub",
    "hub_card",
    "hub_names",
    "names",
    "pins",
    "read_hub_card",
    "refuse_foreign",
    "shipped",
]
