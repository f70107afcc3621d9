"""Proves a hand-written backward pass right, or says what is wrong with it."""

from gradcheck.check import assert_right, check_function, check_layer, check_loss
from gradcheck.report import Finding, Report

__all__ = ["Finding", "Report", "assert_right", "check_function", "check_layer", "check_loss"]
