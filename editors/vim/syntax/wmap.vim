" Vim syntax file for wmap specs. Made by editors/make.py from the grammar: change that.
if exists("b:current_syntax")
  finish
endif

syn case match
syn iskeyword @,48-57,_

syn keyword wmapTodo contained TODO FIXME XXX
syn match wmapComment "#.*$" contains=wmapTodo,@Spell
syn match wmapNumber "\<\d\+\(\.\d\+\)\?\([eE][+-]\?\d\+\)\?\>"
syn match wmapOperator "->\||\|\.\.\.\|\.\.\|[-+*/%=<>!]"
syn match wmapStatement "\<\%(axis\|from\|to\|then\|for\|if\|else\|where\|optional\|drop\|fill\|keep\|rest\|use\|cast\|error\|forward\|reverse\|rename\|permute\|flip\|split\|merge\|given\|expect\|tolerance\|all\|like\|equal\|derive\|with\|without\|buffer\|fold\|meta\)\>\%(\s*\%(:\|=[^=]\)\)\@!"
syn match wmapDeclare "\<\%(wmap\|import\|as\|param\|table\|model\|map\|test\|of\|layer\|dialect\|architecture\|block\)\>\%(\s*\%(:\|=[^=]\)\)\@!"
syn match wmapWordOperator "\<\%(and\|or\|not\|has\|in\)\>\%(\s*\%(:\|=[^=]\)\)\@!"
syn match wmapBoolean "\<\%(true\|false\)\>\%(\s*\%(:\|=[^=]\)\)\@!"
syn match wmapOperation "\<\%(neg\|exp\|log\|sqrt\|rsqrt\|pow\|cast\|bitcast\|dequant\|mxfp4\|saturate\|allow\)\>\%(\s*\%(:\|=[^=]\)\)\@!"
syn match wmapFunction "\<\%(len\|sum\|sqrt\|floor\|min\|max\)\>\%(\s*\%(:\|=[^=]\)\)\@!"
syn match wmapType "\<\%(bool\|u8\|u16\|u32\|u64\|i8\|i16\|i32\|i64\|f16\|bf16\|f32\|f64\|f8_e4m3\|f8_e5m2\|c64\|c128\|raw8\|raw16\|raw32\|raw64\)\>\%(\s*\%(:\|=[^=]\)\)\@!"
syn match wmapLiteral "\<\%(iota\|random\|inf\|nan\)\>\%(\s*\%(:\|=[^=]\)\)\@!"
syn match wmapTag "\<\h\w*\ze\s*:"
syn match wmapAxis contained "\<\h\w*\>"
syn match wmapLayoutWord contained "\<\%(and\|or\|not\|has\|true\|false\)\>"
syn region wmapLayout matchgroup=wmapBracket start="\[" end="\]" contains=wmapAxis,wmapLayoutWord,wmapNumber,wmapOperator,wmapString,wmapRaw,wmapComment,wmapLayout,wmapTag
syn match wmapEscape contained "\\\%([\"\\{}nt]\|u{\x\{1,6}}\)"
syn region wmapHole contained matchgroup=wmapBrace start="{" end="}" oneline contains=wmapNumber,wmapOperator,wmapHoleWord
syn match wmapHoleWord contained "\<\h\w*\>"
syn region wmapString start=+"+ skip=+\\.+ end=+"+ oneline contains=wmapEscape,wmapHole
syn region wmapRaw start=+'+ end=+'+ oneline

hi def link wmapComment Comment
hi def link wmapTodo Todo
hi def link wmapNumber Number
hi def link wmapOperator Operator
hi def link wmapStatement Statement
hi def link wmapDeclare Structure
hi def link wmapWordOperator Operator
hi def link wmapBoolean Boolean
hi def link wmapOperation Function
hi def link wmapFunction Function
hi def link wmapType Type
hi def link wmapLiteral Constant
hi def link wmapTag Label
hi def link wmapAxis Identifier
hi def link wmapLayoutWord Operator
hi def link wmapBracket Delimiter
hi def link wmapEscape SpecialChar
hi def link wmapBrace Special
hi def link wmapHoleWord Special
hi def link wmapString String
hi def link wmapRaw String

let b:current_syntax = "wmap"
