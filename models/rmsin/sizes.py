"""RMSIN's named sizes, as plain data: SIZES[name] is what RmsinConfig takes. Swin and BERT are LAVT's."""

from __future__ import annotations

from models.lavt.sizes import Plain, swin_bert, swin_bert_mini

SIZES: dict[str, Plain] = {
    "rmsin": {**swin_bert(dropout=0.1), "cim": {}},
    "rmsin-mini": {**swin_bert_mini(dropout=0.1), "cim": {"heads": 4, "key": 16, "value": 32}},
}
