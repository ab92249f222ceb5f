import parts
import pytest

from pocketbert.errors import ModelError
from pocketbert.measure.results import Shape
from pocketbert.recipe import PruneStage
from pocketbert.shrink.anatomy import Anatomy
from pocketbert.shrink.shape import settle_shape

BERT = parts.make("bert", layers=6)[1]  # 6 layers, 4 heads of 16, 128 neurons


@pytest.mark.parametrize(
    ("shares", "layers", "heads", "neurons"),
    [
        ({"layers": 0.67}, 4, 4, 128),
        ({"layers": 0.01}, 1, 4, 128),
        ({"feed_forward": 0.5}, 6, 4, 64),
        ({"feed_forward": 0.6}, 6, 4, 80),  # 76.8
        ({"feed_forward": 0.001}, 6, 4, 8),
        ({"hidden": 0.75}, 6, 3, 128),
        ({"hidden": 0.6}, 6, 2, 128),
        ({"hidden": 0.5, "heads": 0.5}, 6, 2, 128),
        ({"hidden": 0.5, "layers": 0.5, "feed_forward": 0.25}, 3, 2, 32),
        ({"layers": 1, "feed_forward": 0.25}, 6, 4, 32),
    ],
)
def test_shares_come_to_sizes(shares, layers, heads, neurons):
    expected = Shape(layers=layers, heads=heads, feed_forward=neurons, hidden=16 * heads)
    assert settle_shape(PruneStage(**shares), BERT) == expected


def test_a_size_that_stays_need_not_be_a_multiple_of_eight():
    model = parts.make("bert")[0]
    model.config.intermediate_size = 100
    anatomy = Anatomy(type(model)(model.config), "m")
    assert settle_shape(PruneStage(layers=0.5, feed_forward=1), anatomy).feed_forward == 100
    assert settle_shape(PruneStage(feed_forward=0.5), anatomy).feed_forward == 48


@pytest.mark.parametrize(
    ("family", "shares", "message"),
    [
        ("bert", {"heads": 0.5}, r"bert: heads cannot go alone: in stock bert code the hidden width is the number of "
         r"heads times their size \(4 × 16\); name hidden: 0.5"),
        ("bert", {"heads": 0.5, "hidden": 0.75}, "hidden: 0.75 leaves 3 of 4 heads: leave out heads"),
        ("bert", {"layers": 0.99}, "nothing would be taken out of layers 3, width 64, heads 4, neurons 128"),
        ("bert", {"hidden": 0.95, "feed_forward": 0.99}, "nothing would be taken out"),
        ("squeezebert", {"hidden": 0.5}, "squeezebert of this make cannot be 32 wide; its width can be 64; layers and"),
        ("electra", {"hidden": 0.25}, "electra of this make cannot be 16 wide; its width can be 32, 48, 64;"),
    ],
)  # fmt: skip
def test_what_stock_code_could_not_load_is_refused(family, shares, message):
    with pytest.raises(ModelError, match=message):
        settle_shape(PruneStage(**shares), parts.make(family)[1])
