"""A word-level tokenizer for the world's words."""

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from world.questions import NUMBERS
from world.vocabulary import BACKGROUNDS, CATEGORIES, COLOURS, plural

SPECIAL = ("<pad>", "<s>", "<unk>", "</s>", "<image>")
PAD, BOS, UNKNOWN, EOS, IMAGE = range(len(SPECIAL))
_GLUE = (
    ". , ? ! : user assistant a an the is are there do does can you see what which who where how many of in on at and"
    " or with not no yes picture image describe please this it i left right top bottom above below background place"
    " colour color object objects anything else"
)
# The picture comes first, whatever its place in the message, so that every word can see it.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    "{% if message['content'] is string %}user: {{ message['content'] }} "
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "user: {% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }} {% endif %}"
    "{% endfor %}"
    "{% endif %}"
    "{% else %}assistant: {% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}</s>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def words() -> list[str]:
    """Every word and mark the models know, special tokens first."""
    named = [*CATEGORIES, *(plural(name) for name in CATEGORIES), *COLOURS, *BACKGROUNDS, *NUMBERS]
    return list(dict.fromkeys([*SPECIAL, *_GLUE.split(), *named]))


def build_tokenizer(*, close: bool = False) -> PreTrainedTokenizerFast:
    """The tokenizer; with `close` it also ends every text with `</s>`, as CLIP's text tower expects."""
    core = Tokenizer(WordLevel({word: index for index, word in enumerate(words())}, unk_token="<unk>"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    single = "<s> $A </s>" if close else "<s> $A"
    core.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", BOS), ("</s>", EOS)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", unk_token="<unk>", eos_token="</s>",
        additional_special_tokens=["<image>"], model_max_length=64 if close else 512, padding_side="right",
    )  # fmt: skip
    tokenizer.chat_template = None if close else CHAT_TEMPLATE
    return tokenizer
