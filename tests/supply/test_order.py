"""Inside supply, a module imports only modules above it in this list, so there are no circles."""

import grimp

ORDER = """
readable settings progress download.judge download.part download.watch download.http plan archive store
bring many estimate show hub
mirror.index mirror.serve mirror.build mirror.wheels mirror.pins mirror.pages mirror.check
""".split()


def test_imports_lead_upwards_only():
    graph = grimp.build_graph(
        "tlcourse",
        include_external_packages=False,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )
    room = "tlcourse.supply."
    packages = {f"{room}download", f"{room}mirror"}
    modules = graph.find_descendants("tlcourse.supply") - packages
    assert {module.removeprefix(room) for module in modules} == set(ORDER)
    for module in modules:
        above = ORDER[: ORDER.index(module.removeprefix(room))]
        for imported in graph.find_modules_directly_imported_by(module):
            if imported.startswith(room):
                assert imported.removeprefix(room) in above, f"{module} imports {imported}"
