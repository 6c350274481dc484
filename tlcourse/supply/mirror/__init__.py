"""A folder in place of the web, from which a classroom fetches data and installs packages.

    DIR/HOST/PATH…       the file of https://HOST/PATH, as TLCOURSE_MIRROR expects it
    DIR/wheels/*.whl     what `pip install tlcourse` needs, tlcourse itself included
    DIR/simple/…         index pages for pip and uv
    DIR/cards/NAME.toml  the pin of a hub model that was pinned where the mirror was built
    DIR/INDEX.tsv        every file with its card, size and sha256
    DIR/README.txt       the two commands that a learner types

It consists of files only: any web server can serve it, or a USB stick carry it. An archive is packed
anew with only the members that cards name; they are verified by their own hashes, as always.
"""
