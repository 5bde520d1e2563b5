"""Shell text from templates and values: every value is quoted, secrets are known."""

from .templates import refuse_open as refuse_open
from .templates import sh as sh
from .values import MASK as MASK
from .values import Raw as Raw
from .values import Secret as Secret
from .values import Shell as Shell
from .values import as_text as as_text
from .values import mask as mask
from .values import quote as quote
from .values import replace as replace
