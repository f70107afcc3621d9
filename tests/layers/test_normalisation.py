"""BatchNorm and LayerNorm at numbers known by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from layers import BatchNorm, LayerNorm, Sequential


def test_batch_norm_by_hand():
    """Columns (1, 3) and (10, 20): means 2 and 15, biased variances 1 and 25, unbiased 2 and 50."""
    layer = BatchNorm(2, momentum=0.1, epsilon=1e-12, dtype=np.float64)
    layer.params["gamma"][...] = [2, 3]
    layer.params["beta"][...] = [10, 20]
    y = layer.forward(np.array([[1.0, 10], [3, 20]]))
    assert_allclose(y, [[8, 17], [12, 23]], rtol=1e-10)
    assert_allclose(layer.state["running_mean"], [0.2, 1.5], rtol=1e-14)
    assert_allclose(layer.state["running_var"], [0.9 + 0.2, 0.9 + 5], rtol=1e-14)
    dx, grads = layer.backward(np.array([[1.0, 0], [5, 2]]))
    assert_allclose(grads["beta"], [6, 2], rtol=1e-10)
    assert_allclose(grads["gamma"], [4, 2], rtol=1e-10)
    assert_allclose(dx, 0, atol=1e-10)  # two samples: x̂ is ±1 whatever x is


def test_batch_norm_in_evaluation():
    layer = BatchNorm(1, epsilon=1, dtype=np.float64)
    layer.state["running_mean"][...] = 5
    layer.state["running_var"][...] = 3  # σ = √(3 + 1) = 2
    layer.params["gamma"][...] = 4
    layer.params["beta"][...] = 1
    layer.training = False
    assert_allclose(layer.forward(np.array([[7.0]])), [[5]])
    dx, grads = layer.backward(np.array([[3.0]]))
    assert_allclose(dx, [[6]])
    assert_allclose(grads["gamma"], [3])
    assert_allclose(grads["beta"], [3])
    assert_array_equal(layer.state["running_mean"], [5])
    assert_array_equal(layer.state["running_var"], [3])


def test_batch_norm_backward_goes_by_the_mode_of_forward():
    layer = BatchNorm(2, dtype=np.float64)
    x, dout = np.random.default_rng(0).standard_normal((2, 5, 2))
    layer.forward(x)
    expected = layer.backward(dout)[0]
    layer.training = False
    assert_array_equal(layer.backward(dout)[0], expected)


def test_batch_norm_refuses_one_sample_in_training_and_keeps_its_statistics():
    layer = BatchNorm(3)
    with pytest.raises(ValueError, match=r"^BatchNorm: x has shape \(1, 3\), expected N ≥ 2 while"):
        layer.forward(np.ones((1, 3)))
    assert_array_equal(layer.state["running_mean"], np.zeros(3))
    assert_array_equal(layer.state["running_var"], np.ones(3))


def test_batch_norm_output_has_mean_0_and_variance_1():
    x = np.random.default_rng(0).normal(1000, 3, (500, 4)).astype(np.float32)
    y = BatchNorm(4).forward(x)
    assert_allclose(y.mean(axis=0), 0, atol=1e-3)
    assert_allclose(y.var(axis=0), 1, rtol=1e-3)


def test_layer_norm_by_hand():
    """(1, 3): mean 2, variance 1; (10, 20): mean 15, variance 25."""
    layer = LayerNorm(2, epsilon=1e-12, dtype=np.float64)
    layer.params["gamma"][...] = [2, 3]
    layer.params["beta"][...] = [10, 20]
    y = layer.forward(np.array([[1.0, 3], [10, 20]]))
    assert_allclose(y, [[8, 23], [8, 23]], rtol=1e-10)
    _, grads = layer.backward(np.array([[1.0, 0], [5, 2]]))
    assert_allclose(grads["beta"], [6, 2])
    assert_allclose(grads["gamma"], [-6, 2])


def test_layer_norm_of_a_batch_of_one_and_of_one_feature():
    assert_allclose(
        LayerNorm(3, epsilon=1e-12).forward([[1, 1, 4]]), [[-(0.5**0.5)] * 2 + [2**0.5]]
    )
    assert_array_equal(LayerNorm(1).forward([[7], [9]]), [[0], [0]])


def test_a_penalty_leaves_scale_and_shift_alone():
    net = Sequential(BatchNorm(3), LayerNorm(3))
    assert net.weights == ()
    assert net.gather().n_weights == 0


@pytest.mark.parametrize("kind", [BatchNorm, LayerNorm])
def test_options(kind):
    with pytest.raises(ValueError, match=f"^{kind.__name__}: D is 0, expected"):
        kind(0)
    for epsilon in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"^{kind.__name__}: epsilon is .*, expected a finite"):
            kind(3, epsilon=epsilon)
    with pytest.raises(TypeError, match="dtype is int"):
        kind(3, dtype=int)


@pytest.mark.parametrize("momentum", [-0.1, 1.1, np.nan])
def test_momentum(momentum):
    with pytest.raises(ValueError, match=r"^BatchNorm: momentum is .*, expected .* in \[0, 1\]"):
        BatchNorm(3, momentum=momentum)
