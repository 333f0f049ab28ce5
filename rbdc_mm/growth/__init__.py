"""Growth operators: pure functions, state dicts in, a state dict out. Imports torch alone.

``OPERATORS`` maps an operator's name to what the tools need of it.
"""

from rbdc_mm.growth.bert2bert import bert2bert, bert2bert_exactness
from rbdc_mm.growth.couple import couple, couple_exactness, coupled_arch
from rbdc_mm.growth.deeper import interpolate, interpolate_exactness, stack, stack_exactness
from rbdc_mm.growth.embed import embed, embed_exactness
from rbdc_mm.growth.exactness import Exactness
from rbdc_mm.growth.lemon import lemon, lemon_exactness
from rbdc_mm.growth.ligo import ligo, ligo_exactness
from rbdc_mm.growth.net2net import net2net, net2net_exactness
from rbdc_mm.growth.operator import Operator
from rbdc_mm.names import Catalog

OPERATORS: Catalog[Operator] = Catalog("operator")
OPERATORS.register("couple")(Operator("couple", couple, couple_exactness, coupled_arch))
OPERATORS.register("embed")(Operator("embed", embed, embed_exactness))
OPERATORS.register("net2net")(Operator("net2net", net2net, net2net_exactness))
OPERATORS.register("bert2bert")(Operator("bert2bert", bert2bert, bert2bert_exactness))
OPERATORS.register("stack")(Operator("stack", stack, stack_exactness))
OPERATORS.register("interpolate")(Operator("interpolate", interpolate, interpolate_exactness))
OPERATORS.register("lemon")(Operator("lemon", lemon, lemon_exactness))
OPERATORS.register("ligo")(Operator("ligo", ligo, ligo_exactness))

__all__ = ["OPERATORS", "Exactness", "Operator", "couple", "coupled_arch", "embed"]
