import pytest
import torch

from tlcourse.errors import CommandError, DataError
from tlcourse.measure import interval, paired
from tlcourse.methods import by_distance, draw_episode, episode, episode_accuracies, probe

HOW = {"ways": 4, "shots": 3, "queries": 6}


def test_an_episode_is_a_pure_function_of_seed_and_number(pixels):
    y = pixels.test.y

    def rows(**key):
        draw = draw_episode(y, **HOW, **key)
        return torch.cat([draw.support, draw.query], 1).tolist()

    state = torch.get_rng_state()
    assert rows(seed=1, number=7) == rows(seed=1, number=7)
    assert rows(seed=1, number=7) != rows(seed=1, number=8)
    assert rows(seed=1, number=7) != rows(seed=2, number=7)
    assert torch.equal(torch.get_rng_state(), state)


def test_classes_and_examples_never_come_twice(pixels):
    y = pixels.test.y
    for number in range(50):
        draw = draw_episode(y, **HOW, number=number)
        assert draw.support.shape == (4, 3) and draw.query.shape == (4, 6)
        assert len(draw.classes.unique()) == 4
        together = torch.cat([draw.support, draw.query], 1)
        assert len(together.unique()) == 4 * 9
        assert (y[together] == draw.classes[:, None]).all()


def test_every_class_and_example_has_its_turn(pixels):
    y = pixels.test.y
    draws = [draw_episode(y, **HOW, number=number) for number in range(400)]
    classes = torch.bincount(torch.cat([draw.classes for draw in draws]), minlength=10)
    assert 120 < classes.min() and classes.max() < 200  # 160 on average, standard deviation 10
    firsts = torch.stack([draw.classes[0] for draw in draws]).unique()
    assert len(firsts) == 10  # label 0 of an episode can be any class
    seen = torch.cat([draw.support.flatten() for draw in draws]).unique()
    assert len(seen) > 0.99 * len(y)


def test_classes_with_too_few_examples_are_left_out():
    y = torch.tensor([0] * 3 + [1] * 9 + [2] * 9 + [4] * 9)
    for number in range(20):
        draw = draw_episode(y, ways=3, shots=3, queries=6, number=number)
        assert draw.classes.sort().values.tolist() == [1, 2, 4]
    with pytest.raises(DataError, match=r"4 ways need .* 3 \+ 6 .* 3 of 4 classes"):
        draw_episode(y, **HOW)


def test_an_episode_is_a_data_set_of_its_own(pixels):
    task = episode(pixels, ways=3, shots=2, queries=5, number=9)
    draw = draw_episode(pixels.test.y, ways=3, shots=2, queries=5, number=9)
    assert torch.equal(task.train.x, pixels.test.x[draw.support.flatten()])
    assert torch.equal(task.test.x, pixels.test.x[draw.query.flatten()])
    assert task.train.y.tolist() == [0, 0, 1, 1, 2, 2]
    assert task.classes == tuple(pixels.classes[label] for label in draw.classes)
    assert not set(task.train.ids) & set(task.test.ids)
    assert task.train.ids[3] == pixels.test.ids[draw.support[1, 1]]
    assert len(task.test) == 15 and task.recipe["number"] == 9


def test_accuracies_are_those_of_the_probe_episode_by_episode(pixels):
    found = episode_accuracies(pixels, "logistic", episodes=4, **HOW, seed=2)
    by_hand = []
    for number in range(4):
        task = episode(pixels, **HOW, seed=2, number=number)
        by_hand.append(probe(task).accuracy(task.test))
    assert found == pytest.approx(by_hand)


def test_more_shots_help_and_methods_meet_the_same_episodes(pixels):
    one, five = (interval(episode_accuracies(pixels, episodes=40, shots=shots)) for shots in (1, 5))
    assert five.low > one.high > 0.25
    other = interval(episode_accuracies(pixels, by_distance, episodes=40, shots=5))
    together, alone = paired(five, other), five
    assert together.half_width < alone.half_width


def test_guessing_has_the_accuracy_of_guessing(pixels):
    found = episode_accuracies(
        pixels, lambda task: torch.zeros(len(task.test), dtype=torch.int64), episodes=3, **HOW
    )
    assert found == (0.25, 0.25, 0.25)


def test_what_cannot_be_drawn_is_named(pixels):
    with pytest.raises(CommandError, match="ways is a .*number .*, not 1"):
        draw_episode(pixels.test.y, ways=1, shots=1, queries=1)
    with pytest.raises(CommandError, match="shots is a .*number .*, not 0"):
        episode(pixels, shots=0)
    with pytest.raises(CommandError, match="episodes is a .*number .*, not 0"):
        episode_accuracies(pixels, episodes=0)
    with pytest.raises(DataError, match=r"predicts \(2,\) labels for 24"):
        episode_accuracies(pixels, lambda task: torch.zeros(2), **HOW)
