"""Numbers and sizes."""

from virttest import absent

__getattr__ = absent(__name__)

_UNITS = "BKMGTPE"


def normalize_data_size(value_str, order_magnitude="M", factor=1024):
    """Express a size such as ``1.5G`` in another unit (``B``, ``K``, ``M`` …), as the text of a number.

    :param factor: 1024, or 1000.
    """
    text = str(value_str).strip().upper().rstrip("B") or "0"
    unit = text[-1] if text[-1] in _UNITS else "B"
    number = float(text.rstrip(_UNITS))
    size = number * float(factor) ** (_UNITS.index(unit) - _UNITS.index(order_magnitude.strip().upper()[0]))
    return str(int(size)) if size == int(size) else str(size)


def align_value(value, factor=1024):
    """Return the smallest multiple of `factor` that is not below `value`."""
    return -(-int(value) // int(factor)) * int(factor)
