"""Who is in which split, for names alone."""

from hypothesis import given
from hypothesis import strategies as st

from tlcourse.data.splits import divide, draw, shuffled

IDS = [f"{label}/{n:03d}" for label in range(3) for n in range(20)]
Y = [label for label in range(3) for _ in range(20)]


def test_the_hashed_order_never_changes():
    # Written down once: another order would move test photos into the training set.
    assert shuffled(["a", "b", "c", "d", "e"], "split") == ["a", "e", "b", "c", "d"]
    assert shuffled(["a", "b", "c", "d", "e"], "draw 0") == ["a", "d", "c", "b", "e"]


def test_every_example_is_in_exactly_one_split():
    parts = divide(IDS, Y, valid=3, test=5)
    members = [name for part in parts for names in part.values() for name in names]
    assert sorted(members) == sorted(IDS)
    assert [{len(names) for names in part.values()} for part in parts] == [{12}, {3}, {5}]


@given(st.permutations(range(len(IDS))))
def test_the_order_of_files_does_not_matter(order):
    moved = divide([IDS[i] for i in order], [Y[i] for i in order], valid=3, test=5)
    assert moved == divide(IDS, Y, valid=3, test=5)


@given(st.integers(0, 2**31), st.integers(1, 11))
def test_draws_are_nested_and_stay_in_the_pool(seed, k):
    pool, _, _ = divide(IDS, Y, valid=3, test=5)
    few, more = draw(pool, k, seed), draw(pool, k + 1, seed)
    for label, names in few.items():
        assert names == more[label][:k] and set(names) <= set(pool[label])


def test_seeds_draw_differently():
    pool, _, _ = divide(IDS, Y, valid=3, test=5)
    assert len({tuple(draw(pool, 5, seed)[0]) for seed in range(10)}) > 5


def test_a_given_place_is_kept_and_the_rest_is_divided():
    ids = [f"{n:02d}" for n in range(20)]
    given = ["test"] * 4 + [""] * 16
    pool, valid, test = divide(ids, [0] * 20, valid=3, test=4, given=given)
    assert test[0] == ids[:4] and len(valid[0]) == 3 and len(pool[0]) == 13
    assert set(pool[0]) | set(valid[0]) == set(ids[4:])


def test_kin_are_never_parted():
    ids = [f"{n:02d}" for n in range(60)]
    kin = {id: f"scene{int(id) // 3}" for id in ids}
    parts = divide(ids, [0] * 60, valid=10, test=10, kin=list(kin.values()))
    scenes = [{kin[id] for id in part[0]} for part in parts]
    assert not scenes[0] & scenes[1] and not scenes[0] & scenes[2] and not scenes[1] & scenes[2]
    assert [len(part[0]) for part in parts] == [36, 12, 12]  # whole families, so two more each
