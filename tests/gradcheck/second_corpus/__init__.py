"""A second corpus, by a hand that had not seen the checker: written to judge it, then kept."""

from . import activations, affine, convs, extra, losses, noise, norms, penalties, sequence


def cases():
    out = []
    for family in (
        affine.F,
        activations.F,
        losses.F,
        losses.G,
        norms.F,
        convs.F,
        sequence.F,
        noise.F,
        penalties.F,
        extra.F,
    ):
        out += family.cases
    return out
