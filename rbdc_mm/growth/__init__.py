"""Growth operators: pure functions of architectures that say what becomes of parents' weights.

One engine runs what they say and one function judges whether it is exact. Imports torch alone.
``OPERATORS`` maps their names to them.
"""

from rbdc_mm.growth.bert2bert import bert2bert
from rbdc_mm.growth.couple import couple, coupled_arch
from rbdc_mm.growth.deeper import interpolate, stack
from rbdc_mm.growth.embed import embed
from rbdc_mm.growth.exactness import Exactness
from rbdc_mm.growth.growth import Growth, Mixture, Noise, Part, ZeroSum
from rbdc_mm.growth.lemon import lemon
from rbdc_mm.growth.ligo import ligo
from rbdc_mm.growth.net2net import net2net
from rbdc_mm.growth.operator import OPERATORS, Operator, operator

__all__ = [
    "OPERATORS",
    "Exactness",
    "Growth",
    "Mixture",
    "Noise",
    "Operator",
    "Part",
    "ZeroSum",
    "bert2bert",
    "couple",
    "coupled_arch",
    "embed",
    "interpolate",
    "lemon",
    "ligo",
    "net2net",
    "operator",
    "stack",
]
