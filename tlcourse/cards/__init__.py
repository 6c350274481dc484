"""What the course uses from outside, and what it ships: one TOML card each.

A card says what something is, whose it is, where it lies on the web and what its bytes must be.
Cards touch neither network nor disk beyond themselves; `tlcourse.supply` does.

    name = "mobilenetv2"             # the file's name; what `fetch` and the loaders are asked for
    title = "…"                      # what it is, in one line of a table
    kind = "model"                   # "data" or "model"
    licence = "Apache-2.0"           # SPDX, or a sentence where there is none
    source_url = "https://…"         # where a person reads about it
    citation = "…"                   # whom to cite
    description = "…"                # a paragraph
    embedded = "…"                   # only if nothing is ever fetched: what stands there instead

    [package]                        # only if the files lie in an installed Python package:
    name = "tlcourse"                #   its import name
    folder = "models/weights"        #   the folder inside it; assets' paths count from there

    [[assets]]                       # one file
    path = "weights.tflite"          # where it goes, below the card's folder
    bytes = 4070174
    sha256 = "5d31…"                 # 64 hex digits
    urls = ["https://…"]             # tried in order; none in an embedded card

    [[assets]]                       # or an archive, of which only the manifest's members are used
    archive = "tar.gz"               # or "zip"
    urls = ["https://…"]
    manifest = "caltech24.tsv"       # beside the card: path, bytes and sha256 of every member
    strip = 1                        # leading folders to drop from a member's name
    at_most_bytes = 400000000        # a longer download is refused (archives have no size of their own)

    [hub]                            # only for a model of the Hugging Face hub, in hub/NAME.toml
    repo = "facebook/dinov2-small"
    revision = "ed25f3a3…"           # the commit; in an unpinned card also a branch or a tag
    files = ["config.json", "…"]     # what is wanted of it
    parameters = 22056576            # numbers in its weights
    loads = "hf/dinov2-small"        # for `load_model`; left out if it has no shape for it

A card with `[package]` and no `urls` is embedded. With both, the package's files are used in place
if they are there and the hashes fit, else the web's.

A card with `[hub]` and no assets is *unpinned*: `get` refuses it, so nothing can be fetched by it.
`tlcourse cards pin NAME` asks the hub for the commit and every hash, and writes the assets.
"""

from tlcourse.cards.card import Asset, Card, File, Hub
from tlcourse.cards.counts import Gives, gives
from tlcourse.cards.shelf import get, hub, hub_card, hub_names, names, pins, shipped

__all__ = [
    "Asset",
    "Card",
    "File",
    "Gives",
    "Hub",
    "get",
    "gives",
    "hub",
    "hub_card",
    "hub_names",
    "names",
    "pins",
    "shipped",
]
