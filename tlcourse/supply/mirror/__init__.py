"""A folder that stands in for the web: what a classroom fetches and installs from.

    DIR/HOST/PATH…       the file of https://HOST/PATH, as TLCOURSE_MIRROR expects it
    DIR/wheels/*.whl     what `pip install tlcourse` needs, tlcourse itself included
    DIR/simple/…         pages by which pip and uv find those wheels
    DIR/cards/NAME.toml  the pin of a hub model that was pinned where the mirror was built
    DIR/INDEX.tsv        every file with its size and sha256, and whose it is
    DIR/README.txt       the two commands that a learner types

It is files only: any web server can serve it, or a USB stick carry it. An archive holds only the
members that cards name, packed anew: what it is worth is said by its members' hashes, as always.
"""
