"""`mini`'s own tokenizer, learnt from the sentences of drawn scenes."""

from __future__ import annotations

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from benchmark.expressions.writer import write_expressions
from benchmark.scenes.everyday.scene import draw_scene

# Words of aerial referring expressions, so that none is cut into letters: the vocabulary is wider than what is drawn,
# as a real CLIP's is. Categories: RRSIS-D's annotation file; the rest: its, RefSegRS's and RISBench's phrases.
AERIAL_WORDS = """
expressway service area toll station airplane airport baseball field basketball court bridge chimney dam golf ground
track harbor overpass ship stadium storage tank tennis train vehicle windmill building road vegetation water land
aircraft swimming pool parking lot roundabout sidewalk marking pavement driving along located towards closest upper
lower image small large big tiny long round square middle corner side edge near two
""".split()


def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE over lower-cased text, learnt from drawn expressions: nothing is unknown to it."""
    corpus = list(AERIAL_WORDS) * 20
    for index in range(2000):
        rng = np.random.default_rng([0, index])
        scene = draw_scene(rng, 64)
        corpus += [expression.text for expression in write_expressions(scene.regions, rng, per_region=2)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=["<unk>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="</s>", eos_token="</s>", unk_token="<unk>", padding_side="right"
    )
