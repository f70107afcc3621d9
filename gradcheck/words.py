"""A sentence for each cause, for the author of the layer."""

SENTENCES = {
    # scale
    "batch-mean-missing": "it is N times too large: forward averages over the batch of N, "
    "backward does not; divide by N",
    "batch-mean-doubled": "it is N times too small: backward divides by the batch size N once "
    "more than forward does",
    "dimension-scale": "it is off by a length other than the batch's (D, C, H·W or its root): "
    "look for a mean or a division by the wrong axis",
    "factor-of-two": "it is off by a factor of two: look for the 2 from d(z²) = 2z dz, or a ½ "
    "that forward has or has not",
    "sign-flipped": "it is the right gradient with its sign reversed: look for a difference taken "
    "the wrong way round",
    "keep-probability": "dropout's scale 1/keep enters forward and backward a different number "
    "of times",
    "constant-scale": "it is the right gradient times a constant: a constant factor of forward is "
    "missing from backward, or the reverse",
    # penalty
    "penalty-missing": "the penalty is in the value, but its gradient (2λW for λΣW²) is not added",
    "penalty-factor": "the penalty's gradient is off by a factor: λΣW² gives 2λW, ½λΣW² gives λW",
    "penalty-extra": "it has a multiple of the parameter added, a penalty or weight decay that "
    "forward has not",
    "bias-penalized": "it has a multiple of the bias added: the penalty of forward leaves the "
    "bias out",
    # orientation
    "transposed": "a matrix is transposed: y = xW gives dx = dout Wᵀ and dW = xᵀ dout; check "
    "every .T",
    "flipped": "it is right but for an axis reversed: a convolution's kernel is rotated by 180° "
    "once too often, or not at all",
    "axes-permuted": "the numbers are right, their places are not: a reshape where a transpose is "
    "meant, or axes in another order",
    # reduction
    "not-summed": "the value was broadcast in forward, so its gradient is summed over the axes "
    "that were added",
    "wrong-axis": "the terms are right but summed over another axis: look at the axis of the sum",
    "summed-everything": "every entry is the sum of several: the sum runs over an axis that "
    "should be kept",
    "part-of-batch": "only some of the samples contribute: look for an index, a slice, or a "
    "return inside the loop over the batch",
    # upstream
    "upstream-ignored": "it does not depend on dout: multiply the local derivative by dout",
    "upstream-partial": "a part of it does not scale with dout: one branch or term is not "
    "multiplied by dout",
    "upstream-nonlinear": "it is not linear in dout: take abs, squares, clipping and masks from "
    "x, not from dout",
    "constant-leak": "a constant is added: with dout = 0 the gradient is not 0",
    "precision-lost": "it is off by the rounding of a narrower type: look for an astype or an "
    "array made in float32 or float16",
    # point
    "evaluated-at-output": "the local derivative f′ is taken at the output y; it belongs at the "
    "input x",
    "evaluated-at-input": "the derivative is the form in the output y (1 − y², y(1 − y)), but x "
    "is put in for y",
    "derivative-missing": "a local derivative is left out: dout passes through a function as if "
    "its slope were 1",
    "derivative-doubled": "a local derivative is applied twice: look for f′ in two lines",
    "mask-inverted": "the mask is the wrong way round: it passes dout where it should stop it",
    "mask-threshold": "it is wrong only for x in a certain range: backward's mask has another "
    "threshold than forward's",
    "slope-missing": "it is wrong only on one side: that side's slope is left out or is another "
    "than forward's",
    # path
    "diagonal-only": "each output's derivative by its own input alone: every y also depends on "
    "the other x, add the sum over them",
    "path-missing": "a route from this value to the output is left out: add up the gradients of "
    "all its uses in forward",
    "label-term": "it is wrong only in the true class's column: look at the −1, or the count, "
    "that belongs to the label",
    "epsilon": "eps is left out of backward, or stands outside the root where forward has it "
    "inside",
    "degrees-of-freedom": "it counts N − 1 where forward counts N, or the reverse: look at ddof",
    "statistics-axis": "a sum or mean in backward runs over another axis than in forward",
    "parameter-missing": "a parameter's factor is left out: y = γ·x̂ gives dx̂ = γ·dout",
    "wrong-operand": "dout is multiplied by another tensor than forward used (x for x̂, y for x, …)",
    # scatter
    "overlap-overwritten": "windows overlap, and the last one overwrites the others: add with +=",
    "duplicates-lost": "an index that repeats counts only once: d[index] += … loses repeats, use "
    "np.add.at",
    "ties": "at a tie the shares of the tied entries do not add up to dout: give it to one, or "
    "divide it",
    "padding-or-stride": "the padding is cropped wrongly, or the stride or remainder is left out: "
    "look at the slices of dx",
    # state
    "accumulates": "a second call returns more: last call's gradient is kept and added to; start "
    "from zeros",
    "stale-cache": "backward reads what another forward, or another instance, stored: keep the "
    "cache per instance and call",
    "randomness-redrawn": "backward draws random numbers anew: keep the mask that forward drew",
    "mask-from-values": "the mask is read off zeros in the values, and x can hold zeros of its "
    "own: keep forward's mask",
    "input-mutated": "x is changed in place: work on a copy, or write x = x * … for x *= …",
    "upstream-mutated": "dout is changed in place: the caller still needs it; work on a copy",
    "parameters-mutated": "a parameter is changed by forward or backward: leave updates to the "
    "optimizer",
    "aliased-result": "the result shares memory with dout, x or a later result: return a copy",
    # contract
    "shape": "the gradient has another shape than the value it belongs to",
    "dtype": "the gradient's dtype is not the value's floating type",
    "gradient-missing": "the parameter has no gradient: put it in the dictionary that backward "
    "returns",
    "gradient-extra": "the key is no parameter's name",
    "not-finite": "NaN or inf where the true gradient is finite: look for 0/0, log 0, or exp of "
    "a large number",
    "raises": "an exception is raised",
    "unexplained": "the gradient is wrong, and nothing that is known explains how",
}


def sentence(cause: str) -> str:
    """What a cause means, in words."""
    return SENTENCES.get(cause, cause)
