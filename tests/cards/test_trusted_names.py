"""A name that is trusted keeps its repository and its hashes, whoever offers another card."""

import hashlib
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from tests.cards.local_hub import hub_card, on_shelf
from tests.supply.things import file_of, noise
from tlcourse import cards, supply
from tlcourse.cards import Asset, Card
from tlcourse.cards.card import address
from tlcourse.cli.cards import command
from tlcourse.errors import CardError
from tlcourse.supply.hub import pin, to_toml
from tlcourse.supply.mirror.pins import take

EVIL = noise(64, 666)
RESNET = "timm/resnet50.a1_in1k"
SHIPPED = [name for name in cards.hub_names() if cards.shipped(name).pinned]


def forged(of: str, name: str | None = None, repo: str | None = None, **changes) -> Card:
    """A card of the course with a mirror's own weights; under its name, or another."""
    card = cards.shipped(of)
    at = replace(card.hub, repo=repo or card.hub.repo, **changes)
    assets = tuple(
        Asset((address(at.repo, at.revision, path),), (file_of(path, EVIL),)) for path in at.files
    )
    return replace(card, name=name or of, hub=at, assets=assets)


@pytest.fixture
def offer(local_hub, tmp_path):
    """Put a card into a mirror, and take it from there as `tlcourse cards pin NAME --from` does."""

    def offered(card: Card):
        folder = tmp_path / "mirror" / "cards"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{card.name}.toml").write_text(to_toml(card), "utf-8")
        return CliRunner().invoke(command, ["pin", card.name, "--from", str(folder.parent)])

    return offered


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("repo", [None, "evil/weights"], ids=["other hashes", "other repository"])
def test_a_shipped_card_is_not_replaced(offer, name, repo):
    loads = {"loads": ""} if repo and cards.shipped(name).hub.loads.startswith("timm/") else {}
    done = offer(forged(name, repo=repo, **loads))
    assert done.exit_code != 0 and isinstance(done.exception, CardError)
    told = str(done.exception)
    assert f"would be loaded in place of '{name}'" in told and "config.json changed" in told
    assert "Nothing was written" in told and (not repo or f"to {repo}" in told)
    assert cards.hub(name) == cards.shipped(name) and not cards.pins().exists()


OTHERS = {
    "loads": dict(of="resnet50", name="aaa", repo="evil/weights"),
    "loads and repository": dict(of="resnet50", name="aaa"),
    "repository": dict(of="resnet50", name="aaa", loads=""),
    "repository of a text encoder": dict(of="distilbert", name="aaa", loads="hf/aaa"),
    "a name of the hub's": dict(of="distilbert", name="aaa", loads="hf/distilbert"),
}


@pytest.mark.parametrize("how", OTHERS)
def test_a_new_name_does_not_lead_to_a_trusted_one(offer, how):
    of = OTHERS[how]["of"]
    done = offer(forged(**OTHERS[how]))
    assert isinstance(done.exception, CardError), done.output
    shipped = cards.shipped(of).hub
    for asked in (shipped.loads, f"hf/{shipped.repo}", f"hf/{of}"):
        assert cards.hub_card(asked) == of


@pytest.mark.parametrize("how", OTHERS)
def test_nor_does_a_file_that_was_brought_into_the_store(local_hub, how):
    forgery = forged(**OTHERS[how])
    cards.pins().mkdir(parents=True)
    (cards.pins() / "aaa.toml").write_text(to_toml(forgery), "utf-8")
    assert cards.hub_card(cards.shipped(OTHERS[how]["of"]).hub.loads) == OTHERS[how]["of"]
    with pytest.raises(CardError, match="aaa.toml: delete that file, then pin"):
        cards.get("aaa")


def test_another_edition_of_an_architecture_does_not_become_the_usual_one(offer):
    other = "timm/resnet50.a9_in1k"
    assert offer(forged("resnet50", "aaa", repo=other, loads=other)).exit_code == 0
    assert cards.hub_card("timm/resnet50") == "resnet50" and cards.hub_card(other) == "aaa"


def test_the_same_card_may_be_taken_again(offer):
    done = offer(cards.shipped("resnet50"))
    assert done.exit_code == 0 and "nothing changed" in done.output
    assert cards.hub("resnet50") == cards.shipped("resnet50")


def test_ones_own_pin_is_not_replaced_by_a_mirrors(local_hub, offer):
    files = {"config.json": b"{}", "model.safetensors": noise(9)}
    local_hub.publish("some/tiny", files)
    mine = on_shelf(pin(hub_card("some/tiny", tuple(files)), supply.read_settings()))
    moved = replace(mine.hub, revision="1" * 40)
    other = file_of("model.safetensors", EVIL)
    assets = [
        replace(asset, urls=(address(moved.repo, moved.revision, asset.files[0].path),))
        for asset in mine.assets
    ]
    theirs = replace(mine, hub=moved, assets=(assets[0], replace(assets[1], files=(other,))))
    done = offer(theirs)
    told = str(done.exception)
    assert f"the revision moved from {mine.hub.revision} to {'1' * 40}" in told
    assert "model.safetensors changed" in told and "config.json" not in told.split("differs")[1]
    assert f"delete {cards.pins() / 'tiny.toml'} first" in told and cards.hub("tiny") == mine
    another = replace(theirs, name="aaa")  # it would be found before `tiny`
    assert isinstance(offer(another).exception, CardError)
    assert cards.hub_card("hf/some/tiny") == "tiny"


def test_a_hub_that_names_other_hashes_for_a_shipped_card_is_refused(local_hub):
    """HF_ENDPOINT may be anybody's."""
    shipped = cards.shipped("resnet50")
    rows = [local_hub.sibling(path, EVIL) for path in shipped.hub.files]
    answer = json.dumps({"sha": shipped.hub.revision, "siblings": rows}).encode()
    local_hub.say(shipped.hub.repo, shipped.hub.revision, answer)
    for path in shipped.hub.files:
        local_hub.server.put(f"/{shipped.hub.repo}/resolve/{shipped.hub.revision}/{path}", EVIL)
    done = CliRunner().invoke(command, ["pin", "resnet50"])
    assert isinstance(done.exception, CardError) and "config.json changed" in str(done.exception)
    assert cards.get("resnet50").files == shipped.files


def test_load_model_takes_nothing_of_a_forged_card(local_hub, monkeypatch, tmp_path):
    """The mirror has the forged card's files as well: the trusted name does not lead to them."""
    from tlcourse import load_model
    from tlcourse.errors import TLCourseError

    forgery = forged("resnet50", "aaa", repo="evil/weights")
    for asset in forgery.assets:
        place = tmp_path / "mirror" / asset.urls[0].removeprefix("https://")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(EVIL)
    monkeypatch.setenv("TLCOURSE_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    folder = tmp_path / "mirror" / "cards"
    folder.mkdir()
    (folder / "aaa.toml").write_text(to_toml(forgery), "utf-8")
    with pytest.raises(CardError):
        take("aaa", str(folder.parent), supply.read_settings())
    with pytest.raises(TLCourseError):
        load_model(RESNET, classes=2)
    held = [p for p in (tmp_path / "home").rglob("*") if p.is_file()]
    evil = hashlib.sha256(EVIL).hexdigest()
    assert evil not in [hashlib.sha256(path.read_bytes()).hexdigest() for path in held]
