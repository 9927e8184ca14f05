/* wmap.y: the grammar of the language (docs/language.md section 3, docs/hub.md section 1). Actions only build nodes
 * (compiler/build.c). Statements end with END, which a filter between scanner and parser makes of newlines, `;` and
 * `}` (compiler/parse.c); it also keeps the nesting, so the stack below never has to grow. */
%require "3.7"
%define api.pure full
%define api.prefix {wm_yy}
%define api.token.prefix {T_}
%define api.value.type {union wm_node}
%define api.location.type {wm_span}
%define parse.error custom
%define parse.lac full
%define parse.lac.es-capacity-initial "200"
%locations
%expect 0
%param {wm_parser *p}

%code requires {
#include "compiler/grammar.h"
}

%code provides {
int wm_yylex(wm_node *value, wm_span *span, wm_parser *p);
void wm_yyerror(wm_span *span, wm_parser *p, const char *message);
}

%code {
/* The nesting of a text is bounded, and so is the stack; it lies on the C stack, where nothing can leak. */
#define YYINITDEPTH 4000
#define YYMAXDEPTH 4000
#define YYMALLOC(size) ((void)(size), (void *)NULL)
#define YYFREE(pointer) ((void)(pointer))

#define YYLLOC_DEFAULT(Current, Rhs, N)                                                                      \
    ((Current) = (N) ? (wm_span){YYRHSLOC(Rhs, 1).file, YYRHSLOC(Rhs, 1).beg, YYRHSLOC(Rhs, N).end}            \
                     : (wm_span){YYRHSLOC(Rhs, 0).file, YYRHSLOC(Rhs, 0).end, YYRHSLOC(Rhs, 0).end})

/* List of one; list with one more. */
#define LIST(list, node) ((list).first = (list).last = (node))
#define MORE(list, old, node)                                                                                \
    do {                                                                                                     \
        (list) = (old);                                                                                      \
        WM_APPEND(list, node);                                                                               \
    } while (0)
}

%token START_FILE START_ITEMS START_RULES START_EXPR START_CALL
%token END
%token <i> INT
%token <f> FLOAT
%token WORD META
%token <text> STRING RAW TEXT
%token QUOTE UNQUOTE HOLE_OPEN HOLE_CLOSE
%token WMAP "wmap" IMPORT "import" AS "as" PARAM "param" TABLE "table" AXIS "axis" MODEL "model" MAP "map" FROM "from"
       TO "to" THEN "then" FOR "for" IN "in" IF "if" ELSE "else" WHERE "where" OPTIONAL "optional" DROP "drop"
       FILL "fill" KEEP "keep" REST "rest" USE "use" CAST "cast" KW_ERROR "error" FORWARD "forward"
       REVERSE "reverse" RENAME "rename" PERMUTE "permute" FLIP "flip" SPLIT "split" MERGE "merge" TEST "test"
       OF "of" GIVEN "given" EXPECT "expect" TOLERANCE "tolerance" ALL "all" LIKE "like" EQUAL "equal"
       DERIVE "derive" WITH "with" WITHOUT "without" LAYER "layer" DIALECT "dialect" ARCHITECTURE "architecture"
       BLOCK "block" BUFFER "buffer" FOLD "fold"
%token HAS "has" AND "and" OR "or" NOT "not" TRUE "true" FALSE "false"
%token ARROW "->" DOTS "..." DOTDOT ".." FLOORDIV "//" STARSTAR "**" EQ "==" NE "!=" LE "<=" GE ">="

%type <word> word name kind_of_op opname_tag as_name
%type <words> words names
%type <qname> qname
%type <expr> expr disj conj inv cmp arith term unary postfix prim const arg
%type <exprs> exprs
%type <op> compare
%type <string> string literal_string tested path key like_opt
%type <strings> strings
%type <format> format
%type <factor> factor layout_item
%type <factors> factors layout_items
%type <block> block label
%type <blocks> blocks labels
%type <layout> layout layout_opt
%type <shape> shape
%type <shape_item> shape_item
%type <shape_items> shape_items
%type <place> place placed
%type <value> value sum product operand
%type <valueop> op
%type <valueops> ops
%type <oparg> oparg
%type <opargs> opargs
%type <operand> source target verb_source verb_target
%type <operands> sources targets verb_sources verb_targets
%type <binding> binding axis_item
%type <bindings> bindings where_opt axis_items
%type <verb> verb
%type <verbs> verbs
%type <dims> ints
%type <rule> rule plain_rule
%type <call> call from_opt to_opt
%type <calls> chain
%type <args> args named
%type <params> params_opt params
%type <param> param
%type <stmt> stmt if_stmt range model_item if_item
%type <stmts> body stmts model_body model_items
%type <otherwise> else_opt else_item_opt
%type <item> item import
%type <items> imports
%type <literal> literal
%type <test_stmt> test_stmt
%type <stmt> hub_item let layer_item array fold dial_item place_item if_place arch_item if_member
%type <stmts> layer_body layer_items dial_body dial_items place_body place_items arch_body arch_items model_body_opt
%type <otherwise> else_place_opt else_member_opt
%type <call> dialect_opt
%type <word> dtype_opt
%type <expr> neutral_opt
%type <op> sign
%type <refs> aref
%type <ref> ref
%type <indices> indices
%type <index> index
%type <owners> owners plain_owners
%type <owner> owner
%type <hplaces> hplaces
%type <hplace> hplace hplaced
%type <presences> presences
%type <hub_names> hub_members
%type <hub_name> hub_member
%type <exprs> ariths
%type <args> args_opt
%type <test_stmts> test_body test_stmts

%%

start: START_FILE header items
     | START_ITEMS items
     | START_RULES stmts                    { p->ast->rules = $2.first; }
     | START_EXPR expr END                  { p->expr = $2; }
     | START_CALL call END                  { p->call = $2; }
     ;

header: "wmap" INT END                      { wm_check_version(p, @2, $2); }
      | "wmap" error END                    { yyerrok; }
      ;

/* ---- items ---- */

items: %empty
     | items item END                       { wm_add_items(p, $2, $2); yyerrok; }
     | items "import" imports END           { wm_add_items(p, $3.first, $3.last); }
     | items error END                      { yyerrok; }
     ;

imports: import                             { LIST($$, $1); }
       | imports ',' import                 { MORE($$, $1, $3); }
       ;
import: path as_name                        { $$ = $1 ? wm_make_item(p, WM_IT_IMPORT, @$) : NULL; if ($$) { $$->string = $1; $$->name = $2; } }
      ;
path: string                                { $$ = wm_no_holes(p, $1, "the name of an imported file"); }
    ;
as_name: %empty                             { $$ = NULL; }
       | "as" word                          { $$ = $2; }
       ;

item: "param" word '=' expr                 { $$ = wm_make_item(p, WM_IT_PARAM, @$); $$->name = $2; $$->expr = $4; }
    | "table" word '=' expr                 { $$ = wm_make_item(p, WM_IT_TABLE, @$); $$->name = $2; $$->expr = $4; }
    | "model" qname params_opt dialect_opt from_opt model_body_opt
        { $$ = wm_make_item(p, WM_IT_MODEL, @$); $$->qname = $2; $$->params = $3.first; $$->has_params = $3.first;
          $$->dialect = $4; $$->from = $5; $$->of_hub = $4 || $5; $$->body = $6.first; wm_check_model(p, $$); }
    | "layer" word layer_body
        { $$ = wm_make_item(p, WM_IT_LAYER, @$); $$->name = $2; $$->body = $3.first; }
    | "layer" error                         { $$ = NULL; }
    | "layer" error layer_body              { $$ = NULL; }
    | "dialect" word params_opt from_opt dial_body
        { $$ = wm_make_item(p, WM_IT_DIALECT, @$); $$->name = $2; $$->params = $3.first; $$->has_params = $3.first;
          $$->from = $4; $$->body = $5.first; }
    | "dialect" error                       { $$ = NULL; }
    | "dialect" error dial_body             { $$ = NULL; }
    | "block" word params_opt arch_body
        { $$ = wm_make_item(p, WM_IT_BLOCK, @$); $$->name = $2; $$->params = $3.first; $$->has_params = $3.first; $$->body = $4.first; }
    | "block" error                         { $$ = NULL; }
    | "block" error arch_body               { $$ = NULL; }
    | "architecture" word params_opt arch_body
        { $$ = wm_make_item(p, WM_IT_ARCH, @$); $$->name = $2; $$->params = $3.first; $$->has_params = $3.first; $$->body = $4.first; }
    | "architecture" word '=' call
        { $$ = wm_make_item(p, WM_IT_ARCH, @$); $$->name = $2; $$->chain = $4; }
    | "architecture" error                  { $$ = NULL; }
    | "architecture" error arch_body        { $$ = NULL; }
    | "model" error                         { $$ = NULL; }
    | "model" error model_body              { $$ = NULL; }
    | "map" word params_opt from_opt to_opt body
        { $$ = wm_make_map(p, @$, $2, $3.first, $4, $5, $6.first); }
    | "map" word '=' call "then" chain
        { $$ = wm_make_item(p, WM_IT_MAP, @$); $$->name = $2; $$->chain = $4; $4->next = $6.first; }
    | "map" error                           { $$ = NULL; }
    | "map" error body                      { $$ = NULL; }
    | "test" literal_string "of" call test_body
        { $$ = wm_make_item(p, WM_IT_TEST, @$); $$->string = $2; $$->of = $4; $$->tests = $5.first; }
    | "test" error                          { $$ = NULL; }
    | "test" error test_body                { $$ = NULL; }
    ;
literal_string: string                      { $$ = wm_no_holes(p, $1, "the name of a test"); }
              ;
chain: call                                 { LIST($$, $1); }
     | chain "then" call                    { MORE($$, $1, $3); }
     ;
from_opt: %empty                            { $$ = NULL; }
        | "from" call                       { $$ = $2; }
        ;
to_opt: %empty                              { $$ = NULL; }
      | "to" call                           { $$ = $2; }
      ;
params_opt: %empty                          { LIST($$, NULL); }
          | '(' ')'                         { LIST($$, NULL); }
          | '(' params ')'                  { $$ = $2; }
          | '(' params ',' ')'              { $$ = $2; }
          ;
params: param                               { LIST($$, $1); }
      | params ',' param                    { MORE($$, $1, $3); }
      ;
param: word                                 { $$ = wm_make_param(p, $1, NULL); }
     | word '=' arg                         { $$ = wm_make_param(p, $1, $3); }
     ;
call: qname                                 { $$ = wm_make_call(p, @$, $1, NULL); }
    | qname args                            { $$ = wm_make_call(p, @$, $1, $2.first); }
    ;
args: '(' ')'                               { LIST($$, NULL); }
    | '(' named ')'                         { $$ = $2; }
    | '(' named ',' ')'                     { $$ = $2; }
    ;
named: word '=' arg                         { LIST($$, wm_make_arg(p, $1, $3)); }
     | named ',' word '=' arg               { MORE($$, $1, wm_make_arg(p, $3, $5)); }
     ;
arg: expr
   | '_'                                    { $$ = wm_make_expr(p, WM_EX_ANY, @$); }
   | qname '(' named ')'                    { $$ = wm_hub_call(p, @$, $1, $3.first); }
   ;
dialect_opt: %empty                         { $$ = NULL; }
           | ':' call                       { $$ = $2; }
           ;
model_body_opt: %empty                      { LIST($$, NULL); }
              | model_body
              ;

open: '{'                                   { yyerrok; }
    ;

/* ---- models ---- */

model_body: open model_items '}'            { $$ = $2; }
          ;
model_items: %empty                         { LIST($$, NULL); }
           | model_items model_item END     { MORE($$, $1, wm_sound(p, $2)); yyerrok; }
           | model_items error END          { $$ = $1; yyerrok; }
           ;
model_item: string ':' word shape
              { $$ = wm_make_stmt(p, WM_ST_TENSOR, @$); $$->of->string = $1; $$->of->dtype = $3; $$->of->shape = $4; }
          | "for" range model_body          { $$ = $2; $$->span = @$; $$->of->body = $3.first; }
          | "for" error model_body          { $$ = NULL; }
          | "for" error                     { $$ = NULL; }
          | if_item
          | hub_item
          | META key '=' string
              { $$ = wm_make_hub(p, WM_HS_META, @$); $$->of->hub->string = $2; $$->of->hub->string2 = $4; }
          | owners '=' hplaces where_opt from_opt presences
              { $$ = wm_make_hub(p, WM_HS_PLACE, @$); $$->of->hub->owners = $1.first; $$->of->hub->places = $3.first;
                $$->of->hub->where = $4.first; $$->of->hub->from = $5; $$->of->hub->presence = $6.first; }
          | owners '=' hplaces where_opt from_opt presences model_body
              { $$ = wm_make_hub(p, WM_HS_PLACE, @$); $$->of->hub->owners = $1.first; $$->of->hub->places = $3.first;
                $$->of->hub->where = $4.first; $$->of->hub->from = $5; $$->of->hub->presence = $6.first;
                $$->of->hub->body = $7.first; $$->of->hub->with_body = true; }
          | "fill" const "->" string ':' word shape
              { $$ = wm_make_hub(p, WM_HS_FILL, @$); $$->of->hub->constant = $2; $$->of->hub->string = $4;
                $$->of->hub->dtype = $6; $$->of->hub->shape = $7; }
          | word strings "if" "all" const
              { $$ = wm_hub_word_string(p, @$, $1, $2.first); if ($$) $$->of->hub->constant = $5; }
          | word plain_owners          { $$ = wm_hub_order(p, @$, $1, $2.first); }
          ;
if_item: "if" expr model_body else_item_opt { $$ = wm_make_if_stmt(p, @$, $2, $3.first, $4.body); }
       | "if" error model_body else_item_opt { $$ = NULL; }
       | "if" error                         { $$ = NULL; }
       ;
else_item_opt: %empty                       { $$.body = NULL; }
             | "else" model_body            { $$.body = $2.first; }
             | "else" if_item               { $$.body = $2; }
             ;

shape: '[' shape_items ']'                  { $$ = wm_make_shape(p, @$, $2.first); }
     ;
shape_items: %empty                         { LIST($$, NULL); }
           | shape_items shape_item         { MORE($$, $1, $2); }
           ;
shape_item: INT          { $$ = wm_make_shape_item(p, @$, wm_make_number(p, WM_EX_INT, @1, $1, 0)); }
          | word         { $$ = wm_make_shape_item(p, @$, wm_make_name(p, @1, wm_make_qname(p, @1, $1))); }
          | '(' expr ')' { $$ = wm_make_shape_item(p, @$, $2); }
          ;

/* ---- statements of a map ---- */

body: open stmts '}'                        { $$ = $2; }
    ;
stmts: %empty                               { LIST($$, NULL); }
     | stmts stmt END                       { MORE($$, $1, wm_sound(p, $2)); yyerrok; }
     | stmts error END                      { $$ = $1; yyerrok; }
     ;
stmt: rule                                  { $$ = wm_make_stmt(p, WM_ST_RULE, @$); $$->rule = $1; }
    | "fill" const "->" targets like_opt where_opt
        { $$ = wm_make_fill(p, @$, $2, $4.first, $5, $6.first); }
    | "drop" strings                        { $$ = wm_make_drop(p, WM_ST_DROP, @$, $2.first, NULL); }
    | "drop" strings "if" "all" const       { $$ = wm_make_drop(p, WM_ST_DROP, @$, $2.first, $5); }
    | "drop" META strings                   { $$ = wm_make_drop(p, WM_ST_DROP_META, @$, $3.first, NULL); }
    | META key '=' string
        { $$ = wm_make_stmt(p, WM_ST_META, @$); $$->of->string = $2; $$->of->string2 = $4; }
    | "keep" "rest"                         { $$ = wm_make_stmt(p, WM_ST_KEEP_REST, @$); }
    | "use" call                            { $$ = wm_make_stmt(p, WM_ST_USE, @$); $$->of->call = $2; }
    | "error" string                        { $$ = wm_make_stmt(p, WM_ST_ERROR, @$); $$->of->string = $2; }
    | "derive"                              { $$ = wm_make_stmt(p, WM_ST_DERIVE, @$); }
    | "derive" "without" words              { $$ = wm_make_stmt(p, WM_ST_DERIVE, @$); $$->of->words = $3.first; }
    | "cast" word "->" word                 { $$ = wm_make_cast(p, @$, $2, $4, NULL); }
    | "cast" word "->" word word            { $$ = wm_make_cast(p, @$, $2, $4, $5); }
    | "axis" axis_items                     { $$ = wm_make_stmt(p, WM_ST_AXIS, @$); $$->of->where = $2.first; }
    | "forward" body                        { $$ = wm_make_stmt(p, WM_ST_FORWARD, @$); $$->of->body = $2.first; }
    | "reverse" body                        { $$ = wm_make_stmt(p, WM_ST_REVERSE, @$); $$->of->body = $2.first; }
    | "for" range body                      { $$ = $2; $$->span = @$; $$->of->body = $3.first; }
    | "for" error body                      { $$ = NULL; }
    | "for" error                           { $$ = NULL; }
    | if_stmt
    ;
range: string                               { $$ = wm_make_stmt(p, WM_ST_FOR, @$); $$->of->string = $1; }
     | words_in expr                        { $$ = wm_make_stmt(p, WM_ST_FOR, @$); $$->of->words = $<words>1.first; $$->of->expr = $2; }
     | words_in arith ".." arith            { $$ = wm_make_range(p, @$, $<words>1.first, $2, $4); }
     ;
words_in: word "in"                         { LIST($<words>$, $1); }
        | '(' words ')' "in"                { $<words>$ = $2; }
        ;
if_stmt: "if" expr body else_opt            { $$ = wm_make_if_stmt(p, @$, $2, $3.first, $4.body); }
       | "if" error body else_opt           { $$ = NULL; }
       | "if" error                         { $$ = NULL; }
       ;
else_opt: %empty                            { $$.body = NULL; }
        | "else" body                       { $$.body = $2.first; }
        | "else" if_stmt                    { $$.body = $2; }
        ;
key: string                                 { $$ = wm_no_holes(p, $1, "a key of metadata"); }
   ;
strings: string                             { LIST($$, wm_make_string_item(p, $1)); }
       | strings ',' string                 { MORE($$, $1, wm_make_string_item(p, $3)); }
       ;
like_opt: %empty                            { $$ = NULL; }
        | "like" string                     { $$ = $2; }
        ;
axis_items: axis_item                       { LIST($$, $1); }
          | axis_items ',' axis_item        { MORE($$, $1, $3); }
          ;
axis_item: name                             { $$ = wm_make_binding(p, @$, $1, NULL, NULL); }
         | name '=' arith                   { $$ = wm_make_binding(p, @$, $1, $3, NULL); }
         ;

/* ---- the hub: layers, dialects, architectures; models are above ---- */

hub_item: word strings                      { $$ = wm_hub_word_string(p, @$, $1, $2.first); }
        | "without" words                   { $$ = wm_make_hub(p, WM_HS_WITHOUT, @$); $$->of->hub->words = $2.first; }
        | let
        ;
let: word word '=' expr                     { $$ = wm_hub_let(p, @$, $1, $2, $4); }
   | "table" word '=' expr                  { $$ = wm_hub_let(p, @$, NULL, $2, $4); }
   ;
layer_body: open layer_items '}'            { $$ = $2; }
          ;
layer_items: %empty                         { LIST($$, NULL); }
           | layer_items layer_item END     { MORE($$, $1, wm_sound(p, $2)); yyerrok; }
           | layer_items error END          { $$ = $1; yyerrok; }
           ;
layer_item: array
          | "buffer" array                  { $$ = $2; $$->span = @$; $$->of->hub->buffer = true; }
          | fold
          ;
array: word layout dtype_opt neutral_opt where_opt
         { $$ = wm_make_hub(p, WM_HS_ARRAY, @$); $$->of->hub->name = $1; $$->of->hub->layout = $2;
           $$->of->hub->dtype = $3; $$->of->hub->constant = $4; $$->of->hub->where = $5.first; }
     ;
dtype_opt: %empty                           { $$ = NULL; }
         | ':' word                         { $$ = $2; }
         ;
neutral_opt: %empty                         { $$ = NULL; }
           | '=' const                      { $$ = $2; }
           ;
fold: "fold" aref "->" aref sign aref
        { $$ = wm_make_hub(p, WM_HS_FOLD, @$); $$->of->hub->first = $2.first; $$->of->hub->second = $4.first;
          $$->of->hub->op = $5; $$->of->hub->third = $6.first; }
    ;
sign: '+'                                   { $$ = WM_OP_ADD; }
    | '-'                                   { $$ = WM_OP_SUB; }
    ;
aref: ref                                   { LIST($$, $1); }
    | aref '.' ref                          { MORE($$, $1, $3); }
    ;
ref: word                                   { $$ = wm_make_ref(p, @$, $1, NULL); }
   | word '[' indices ']'                   { $$ = wm_make_ref(p, @$, $1, $3.first); }
   ;
indices: index                              { LIST($$, $1); }
       | indices ',' index                  { MORE($$, $1, $3); }
       ;
index: INT                                  { $$ = wm_make_hub_index(p, @$, NULL, wm_make_number(p, WM_EX_INT, @1, $1, 0)); }
     | word                                 { $$ = wm_make_hub_index(p, @$, $1, NULL); }
     | word compare arith
         { $$ = wm_make_hub_index(p, @$, $1, NULL); $$->compared = true; $$->op = $2; $$->expr = $3; }
     ;
owners: owner                               { LIST($$, $1); }
      | owners ',' owner                    { MORE($$, $1, $3); }
      ;
owner: aref                                 { $$ = wm_make_owner(p, @$, NULL, $1.first); }
     | name ':' aref                        { $$ = wm_make_owner(p, @$, $1, $3.first); }
     ;
plain_owners: aref                          { LIST($$, wm_make_owner(p, @1, NULL, $1.first)); }
            | plain_owners ',' aref         { MORE($$, $1, wm_make_owner(p, @3, NULL, $3.first)); }
            ;
hplaces: hplace                             { LIST($$, $1); }
       | hplaces ',' hplace                 { MORE($$, $1, $3); }
       ;
hplace: hplaced ops                         { $$ = $1; $$->span = @$; $$->ops = $2.first; }
      | name ':' hplaced ops                { $$ = $3; $$->span = @$; $$->tag = $1; $$->ops = $4.first; }
      ;
hplaced: place
           { $$ = wm_make_hplace(p, @$, $1->name, $1->layout); $$->otherwise = $1->otherwise; $$->optional = $1->optional; }
       | layout                             { $$ = wm_make_hplace(p, @$, NULL, $1); }
       | layout "else" const                { $$ = wm_make_hplace(p, @$, NULL, $1); $$->otherwise = $3; }
       | layout "optional"                  { $$ = wm_make_hplace(p, @$, NULL, $1); $$->optional = true; }
       | layout "else" const "optional"
           { $$ = wm_make_hplace(p, @$, NULL, $1); $$->otherwise = $3; $$->optional = true; }
       ;
presences: %empty                           { LIST($$, NULL); }
         | presences "with" words           { MORE($$, $1, wm_make_presence(p, wm_join(@2, @3), true, $3.first)); }
         | presences "without" words        { MORE($$, $1, wm_make_presence(p, wm_join(@2, @3), false, $3.first)); }
         ;
dial_body: open dial_items '}'              { $$ = $2; }
         ;
dial_items: %empty                          { LIST($$, NULL); }
          | dial_items dial_item END        { MORE($$, $1, wm_sound(p, $2)); yyerrok; }
          | dial_items error END            { $$ = $1; yyerrok; }
          ;
dial_item: word strings                     { $$ = wm_hub_word_string(p, @$, $1, $2.first); }
         | word qname
             { $$ = wm_make_hub(p, WM_HS_FORMAT, @$); $$->of->hub->qname = $2; if (!wm_is_word(p, $1, "format")) $$ = NULL; }
         | word '(' names ')'
             { $$ = wm_make_hub(p, WM_HS_FLATTEN, @$); $$->of->hub->words = $3.first; if (!wm_is_word(p, $1, "flatten")) $$ = NULL; }
         | "all" '=' string                 { $$ = wm_make_hub(p, WM_HS_ALL, @$); $$->of->hub->string = $3; }
         | META key '=' string
             { $$ = wm_make_hub(p, WM_HS_META, @$); $$->of->hub->string = $2; $$->of->hub->string2 = $4; }
         | word place_body
             { $$ = wm_make_hub(p, WM_HS_KIND, @$); $$->of->hub->name = $1; $$->of->hub->body = $2.first; }
         | word word STRING place_body
             { $$ = wm_make_hub(p, WM_HS_KIND, @$); $$->of->hub->name = $1; $$->of->hub->body = $4.first;
               $$->of->hub->string = wm_make_string(p, @3, $3, false); if (!wm_is_word(p, $2, "class")) $$ = NULL; }
         ;
place_body: open place_items '}'            { $$ = $2; }
          ;
place_items: %empty                         { LIST($$, NULL); }
           | place_items place_item END     { MORE($$, $1, wm_sound(p, $2)); yyerrok; }
           | place_items error END          { $$ = $1; yyerrok; }
           ;
place_item: owners '=' hplaces where_opt
              { $$ = wm_make_hub(p, WM_HS_PLACE, @$); $$->of->hub->owners = $1.first; $$->of->hub->places = $3.first;
                $$->of->hub->where = $4.first; }
          | "all" '=' string                { $$ = wm_make_hub(p, WM_HS_ALL, @$); $$->of->hub->string = $3; }
          | word strings                    { $$ = wm_hub_word_string(p, @$, $1, $2.first); }
          | "without" words                 { $$ = wm_make_hub(p, WM_HS_WITHOUT, @$); $$->of->hub->words = $2.first; }
          | if_place
          ;
if_place: "if" expr place_body else_place_opt  { $$ = wm_make_if_stmt(p, @$, $2, $3.first, $4.body); }
        | "if" error place_body else_place_opt { $$ = NULL; }
        | "if" error                        { $$ = NULL; }
        ;
else_place_opt: %empty                      { $$.body = NULL; }
              | "else" place_body           { $$.body = $2.first; }
              | "else" if_place             { $$.body = $2; }
              ;
arch_body: open arch_items '}'              { $$ = $2; }
         ;
arch_items: %empty                          { LIST($$, NULL); }
          | arch_items arch_item END        { MORE($$, $1, wm_sound(p, $2)); yyerrok; }
          | arch_items error END            { $$ = $1; yyerrok; }
          ;
arch_item: hub_members ':' word args_opt presences
             { $$ = wm_make_hub(p, WM_HS_MEMBER, @$); $$->of->hub->members = $1.first; $$->of->hub->name = $3;
               $$->of->hub->args = $4.first; $$->of->hub->presence = $5.first; }
         | hub_members ':' word layout presences
             { $$ = wm_make_hub(p, WM_HS_MEMBER, @$); $$->of->hub->members = $1.first; $$->of->hub->name = $3;
               $$->of->hub->layout = $4; $$->of->hub->presence = $5.first; if (!wm_is_word(p, $3, "array")) $$ = NULL; }
         | fold
         | let
         | word word arch_body
             { $$ = wm_make_hub(p, WM_HS_PART, @$); $$->of->hub->name = $2; $$->of->hub->body = $3.first;
               if (!wm_is_word(p, $1, "part")) $$ = NULL; }
         | "for" range arch_body            { $$ = $2; $$->span = @$; $$->of->body = $3.first; }
         | "for" error arch_body            { $$ = NULL; }
         | "for" error                      { $$ = NULL; }
         | if_member
         ;
if_member: "if" expr arch_body else_member_opt { $$ = wm_make_if_stmt(p, @$, $2, $3.first, $4.body); }
         | "if" error arch_body else_member_opt { $$ = NULL; }
         | "if" error                       { $$ = NULL; }
         ;
else_member_opt: %empty                     { $$.body = NULL; }
               | "else" arch_body           { $$.body = $2.first; }
               | "else" if_member           { $$.body = $2; }
               ;
hub_members: hub_member                     { LIST($$, $1); }
           | hub_members ',' hub_member     { MORE($$, $1, $3); }
           ;
hub_member: word                            { $$ = wm_make_hub_name(p, @$, $1, NULL); }
          | word '[' ariths ']'             { $$ = wm_make_hub_name(p, @$, $1, $3.first); }
          ;
ariths: arith                               { LIST($$, $1); }
      | ariths ',' arith                    { MORE($$, $1, $3); }
      ;
args_opt: %empty                            { LIST($$, NULL); }
        | args
        ;

/* ---- rules ---- */

rule: plain_rule
    | "optional" rule                       { $$ = $2; $$->span = @$; $$->optional = true; $$->optional_span = @1; }
    | "equal" rule                          { $$ = $2; $$->span = @$; $$->equal = true; $$->equal_span = @1; }
    ;
plain_rule: sources "->" targets where_opt  { $$ = wm_make_rule(p, @$, @2, $1.first, $3.first, $4.first); }
          | verbs verb_sources "->" verb_targets where_opt
              { $$ = wm_make_rule(p, @$, @3, $2.first, $4.first, $5.first); $$->verbs = $1.first; }
          ;
verbs: verb                                 { LIST($$, $1); }
     | verbs verb                           { MORE($$, $1, $2); }
     ;
verb: "rename"                              { $$ = wm_make_verb(p, WM_VERB_RENAME, @$, NULL); }
    | "permute" '(' ints ')'                { $$ = wm_make_verb(p, WM_VERB_PERMUTE, @$, $3.first); }
    | "flip" '(' ints ')'                   { $$ = wm_make_verb(p, WM_VERB_FLIP, @$, $3.first); }
    | "split" INT                           { $$ = wm_make_verb(p, WM_VERB_SPLIT, @$, wm_make_dim(p, @2, $2)); }
    | "merge" INT                           { $$ = wm_make_verb(p, WM_VERB_MERGE, @$, wm_make_dim(p, @2, $2)); }
    ;
ints: INT                                   { LIST($$, wm_make_dim(p, @1, $1)); }
    | ints INT                              { MORE($$, $1, wm_make_dim(p, @2, $2)); }
    ;
verb_sources: verb_source                   { LIST($$, $1); }
            | verb_sources ',' verb_source  { MORE($$, $1, $3); }
            ;
verb_source: value                          { $$ = wm_make_source(p, @$, NULL, $1); }
           ;
verb_targets: verb_target                   { LIST($$, $1); }
            | verb_targets ',' verb_target  { MORE($$, $1, $3); }
            ;
verb_target: place                          { $$ = wm_make_target(p, @$, NULL, $1); }
           ;
sources: source                             { LIST($$, $1); }
       | sources ',' source                 { MORE($$, $1, $3); }
       ;
source: value                               { $$ = wm_make_source(p, @$, NULL, $1); }
      | name ':' value                      { $$ = wm_make_source(p, @$, $1, $3); }
      ;
targets: target                             { LIST($$, $1); }
       | targets ',' target                 { MORE($$, $1, $3); }
       ;
target: place                               { $$ = wm_make_target(p, @$, NULL, $1); }
      | name ':' place                      { $$ = wm_make_target(p, @$, $1, $3); }
      | place ':' word shape
          { $$ = wm_make_target(p, @$, NULL, $1); $$->dtype = $3; $$->shape = $4; }
      | name ':' place ':' word shape
          { $$ = wm_make_target(p, @$, $1, $3); $$->dtype = $5; $$->shape = $6; }
      ;
value: sum ops                              { $$ = wm_with_ops(p, @$, $1, $2.first); }
     ;
sum: product
   | sum '+' product                        { $$ = wm_make_arith(p, WM_OP_ADD, @$, @2, $1, $3); }
   | sum '-' product                        { $$ = wm_make_arith(p, WM_OP_SUB, @$, @2, $1, $3); }
   ;
product: operand
       | product '*' operand                { $$ = wm_make_arith(p, WM_OP_MUL, @$, @2, $1, $3); }
       | product '/' operand                { $$ = wm_make_arith(p, WM_OP_DIV, @$, @2, $1, $3); }
       ;
operand: place                              { $$ = wm_make_value(p, @$, $1); }
       | '(' value ')'                      { $$ = $2; $$->span = @$; }
       ;
place: placed
     | placed "optional"                    { $$ = $1; $$->span = @$; $$->optional = true; $$->optional_span = @2; }
     ;
placed: string layout_opt                   { $$ = wm_make_place(p, @$, $1, $2); }
      | string layout_opt "else" const
          { $$ = wm_make_place(p, @$, $1, $2); $$->otherwise = $4; $$->else_span = wm_join(@3, @4); }
      ;
ops: %empty                                 { LIST($$, NULL); }
   | ops '|' op                             { MORE($$, $1, $3); }
   ;
op: kind_of_op opargs                       { $$ = wm_make_valueop(p, @$, NULL, $1, $2.first); }
  | opname_tag kind_of_op opargs            { $$ = wm_make_valueop(p, @$, $1, $2, $3.first); }
  ;
opname_tag: name ':'                        { $$ = $1; }
          ;
kind_of_op: WORD                            { $$ = wm_make_word(p, @$); }
          | "cast"                          { $$ = wm_make_word(p, @$); }
          | '+'                             { $$ = wm_make_word(p, @$); }
          | '-'                             { $$ = wm_make_word(p, @$); }
          | '*'                             { $$ = wm_make_word(p, @$); }
          | '/'                             { $$ = wm_make_word(p, @$); }
          ;
opargs: %empty                              { LIST($$, NULL); }
      | opargs oparg                        { MORE($$, $1, $2); }
      ;
oparg: const                                { $$ = wm_make_oparg(p, @$, $1, NULL, NULL); }
     | string                               { $$ = wm_make_oparg(p, @$, NULL, $1, NULL); }
     | shape                                { $$ = wm_make_oparg(p, @$, NULL, NULL, $1); }
     ;
const: INT                                  { $$ = wm_make_number(p, WM_EX_INT, @$, $1, 0); }
     | FLOAT                                { $$ = wm_make_number(p, WM_EX_FLOAT, @$, 0, $1); }
     | word                                 { $$ = wm_make_name(p, @$, wm_make_qname(p, @1, $1)); }
     | '-' const                            { $$ = wm_make_unary(p, WM_EX_NEG, @$, $2); }
     | '(' expr ')'                         { $$ = wm_make_parens(@$, $2); }
     ;
where_opt: %empty                           { LIST($$, NULL); }
         | "where" bindings                 { $$ = $2; }
         ;
bindings: binding                           { LIST($$, $1); }
        | bindings ',' binding              { MORE($$, $1, $3); }
        ;
binding: name '=' arith                     { $$ = wm_make_binding(p, @$, $1, $3, NULL); }
       | '(' names ')' '=' '(' names ')'    { $$ = wm_make_binding(p, @$, $2.first, NULL, $6.first); }
       ;

/* ---- layouts ---- */

layout_opt: %empty                          { $$ = NULL; }
          | layout
          ;
layout: '[' layout_items ']'                { $$ = wm_make_layout(p, @$, $2.first); }
      ;
layout_items: %empty                        { LIST($$, NULL); }
            | layout_items layout_item      { MORE($$, $1, $2); }
            ;
layout_item: factor
           | "..."                          { $$ = wm_make_axis(p, WM_FA_DOTS, @$, NULL); }
           ;
factors: factor                             { LIST($$, $1); }
       | factors factor                     { MORE($$, $1, $2); }
       ;
factor: name                                { $$ = wm_make_axis(p, WM_FA_AXIS, @$, $1); }
      | '-' name                            { $$ = wm_make_axis(p, WM_FA_REVERSED, @$, $2); }
      | '=' name                            { $$ = wm_make_axis(p, WM_FA_EQUAL, @$, $2); }
      | INT                                 { $$ = wm_make_extent(p, @$, $1); }
      | '{' '}'                             { $$ = wm_make_labels(p, @$, NULL); }
      | '{' labels '}'                      { $$ = wm_make_labels(p, @$, $2.first); }
      | '(' ')'                             { $$ = wm_make_group(p, @$, NULL); }
      | '(' blocks ')'                      { $$ = wm_make_group(p, @$, $2.first); }
      ;
labels: label                               { LIST($$, $1); }
      | labels label                        { MORE($$, $1, $2); }
      ;
label: name                                 { $$ = wm_make_block(p, @$, $1, NULL, false); }
     | '_'                                  { $$ = wm_make_block(p, @$, NULL, NULL, true); }
     ;
blocks: block                               { LIST($$, $1); }
      | blocks '|' block                    { MORE($$, $1, $3); }
      ;
block: factors                              { $$ = wm_make_block(p, @$, NULL, $1.first, false); }
     | name ':' factors                     { $$ = wm_make_block(p, @$, $1, $3.first, false); }
     | '_'                                  { $$ = wm_make_block(p, @$, NULL, NULL, true); }
     | '_' ':' factors                      { $$ = wm_make_block(p, @$, NULL, $3.first, true); }
     ;

/* ---- strings ---- */

string: STRING                              { $$ = wm_make_string(p, @$, $1, false); }
      | RAW                                 { $$ = wm_make_string(p, @$, $1, true); }
      | quote parts UNQUOTE                 { $$ = wm_string_end(p, @$); }
      ;
quote: QUOTE                                { wm_string_begin(p); }
     ;
parts: %empty
     | parts TEXT                           { wm_string_text(p, @2, $2); }
     | parts HOLE_OPEN arith HOLE_CLOSE     { wm_string_hole(p, wm_join(@2, @4), $3, WM_FMT_NONE); }
     | parts HOLE_OPEN arith ':' format HOLE_CLOSE
         { wm_string_hole(p, wm_join(@2, @6), $3, $5); wm_hole_width(p, @5); }
     | parts HOLE_OPEN '=' word HOLE_CLOSE  { wm_string_equal(p, wm_join(@2, @5), $4, WM_FMT_NONE); }
     | parts HOLE_OPEN '=' word ':' format HOLE_CLOSE
         { wm_string_equal(p, wm_join(@2, @7), $4, $6); wm_hole_width(p, @6); }
     | parts HOLE_OPEN '*' HOLE_CLOSE       { wm_string_star(p, wm_join(@2, @4), WM_PART_STAR); }
     | parts HOLE_OPEN "**" HOLE_CLOSE      { wm_string_star(p, wm_join(@2, @4), WM_PART_STARSTAR); }
     ;
format: INT                                 { $$ = wm_check_format(p, @$); }
      | word                                { $$ = wm_check_format(p, @$); }
      | '_'                                 { $$ = WM_FMT_UNDER; }
      | '*'                                 { $$ = WM_FMT_STAR; }
      | "**"                                { $$ = WM_FMT_STARSTAR; }
      ;

/* ---- expressions ---- */

exprs: expr                                 { LIST($$, $1); }
     | exprs ',' expr                       { MORE($$, $1, $3); }
     ;
expr: "if" expr "then" expr "else" expr     { $$ = wm_make_if(p, @$, $2, $4, $6); }
    | disj
    ;
disj: conj
    | disj "or" conj                        { $$ = wm_make_binary(p, WM_OP_OR, @$, @2, $1, $3); }
    ;
conj: inv
    | conj "and" inv                        { $$ = wm_make_binary(p, WM_OP_AND, @$, @2, $1, $3); }
    ;
inv: "not" inv                              { $$ = wm_make_unary(p, WM_EX_NOT, @$, $2); }
   | cmp
   ;
cmp: arith
   | arith compare arith                    { $$ = wm_make_binary(p, $2, @$, @2, $1, $3); }
   ;
compare: "=="                               { $$ = WM_OP_EQ; }
       | "!="                               { $$ = WM_OP_NE; }
       | '<'                                { $$ = WM_OP_LT; }
       | "<="                               { $$ = WM_OP_LE; }
       | '>'                                { $$ = WM_OP_GT; }
       | ">="                               { $$ = WM_OP_GE; }
       ;
arith: term
     | arith '+' term                       { $$ = wm_make_binary(p, WM_OP_ADD, @$, @2, $1, $3); }
     | arith '-' term                       { $$ = wm_make_binary(p, WM_OP_SUB, @$, @2, $1, $3); }
     ;
term: unary
    | term '*' unary                        { $$ = wm_make_binary(p, WM_OP_MUL, @$, @2, $1, $3); }
    | term '/' unary                        { $$ = wm_make_binary(p, WM_OP_DIV, @$, @2, $1, $3); }
    | term "//" unary                       { $$ = wm_make_binary(p, WM_OP_FLOORDIV, @$, @2, $1, $3); }
    | term '%' unary                        { $$ = wm_make_binary(p, WM_OP_MOD, @$, @2, $1, $3); }
    ;
unary: '-' unary                            { $$ = wm_make_unary(p, WM_EX_NEG, @$, $2); }
     | postfix
     ;
postfix: prim
       | postfix '[' arith ']'              { $$ = wm_make_index(p, @$, $1, $3); }
       ;
prim: INT                                   { $$ = wm_make_number(p, WM_EX_INT, @$, $1, 0); }
    | FLOAT                                 { $$ = wm_make_number(p, WM_EX_FLOAT, @$, 0, $1); }
    | "true"                                { $$ = wm_make_number(p, WM_EX_BOOL, @$, 1, 0); }
    | "false"                               { $$ = wm_make_number(p, WM_EX_BOOL, @$, 0, 0); }
    | string                                { $$ = wm_make_string_expr(p, WM_EX_STRING, @$, $1); }
    | "has" string                          { $$ = wm_make_string_expr(p, WM_EX_HAS, @$, $2); }
    | qname                                 { $$ = wm_make_name(p, @$, $1); }
    | qname '(' exprs ')'                   { $$ = wm_make_call_expr(p, @$, $1, $3.first); }
    | '(' expr ')'                          { $$ = wm_make_parens(@$, $2); }
    | '(' exprs ',' expr ')'                { WM_APPEND($2, $4); $$ = wm_make_list(p, @$, $2.first); }
    | '[' ']'                               { $$ = wm_make_list(p, @$, NULL); }
    | '[' exprs ']'                         { $$ = wm_make_list(p, @$, $2.first); }
    | '[' exprs ',' ']'                     { $$ = wm_make_list(p, @$, $2.first); }
    ;

/* ---- names ---- */

qname: word                                 { $$ = wm_make_qname(p, @$, $1); }
     | qname '.' word                       { $$ = wm_qname_more(@$, $1, $3); }
     ;
words: word                                 { LIST($$, $1); }
     | words ',' word                       { MORE($$, $1, $3); }
     ;
names: name                                 { LIST($$, $1); }
     | names name                           { MORE($$, $1, $2); }
     ;
word: WORD                                  { $$ = wm_make_word(p, @$); }
    ;
name: WORD                                  { $$ = wm_make_word(p, @$); }
    | keyword                               { $$ = wm_make_word(p, @$); }
    ;
keyword: META | "wmap" | "import" | "as" | "param" | "table" | "axis" | "model" | "map" | "from" | "to" | "then"
       | "for" | "in" | "if" | "else" | "where" | "optional" | "drop" | "fill" | "keep" | "rest" | "use"
       | "cast" | "error" | "forward" | "reverse" | "rename" | "permute" | "flip" | "split" | "merge" | "test"
       | "of" | "given" | "expect" | "tolerance" | "all" | "like" | "equal" | "derive" | "with" | "without"
       | "layer" | "dialect" | "architecture" | "block" | "buffer" | "fold"
       ;

/* ---- tests ---- */

test_body: open test_stmts '}'              { $$ = $2; }
         ;
test_stmts: %empty                          { LIST($$, NULL); }
          | test_stmts test_stmt END        { MORE($$, $1, $2); yyerrok; }
          | test_stmts error END            { $$ = $1; yyerrok; }
          ;
test_stmt: "given" tested '=' literal
             { $$ = wm_make_test_stmt(p, WM_TS_GIVEN, @$); $$->string = $2; $$->literal = $4; }
         | "expect" tested '=' literal
             { $$ = wm_make_test_stmt(p, WM_TS_EXPECT, @$); $$->string = $2; $$->literal = $4; }
         | "expect" "error" word            { $$ = wm_make_test_stmt(p, WM_TS_ERROR, @$); $$->word = $3; }
         | "expect" "reverse"               { $$ = wm_make_test_stmt(p, WM_TS_REVERSE, @$); }
         | "tolerance" const                { $$ = wm_make_test_stmt(p, WM_TS_TOLERANCE, @$); $$->constant = $2; }
         ;
tested: string                              { $$ = wm_no_holes(p, $1, "the name of a tensor in a test"); }
      ;

/* The elements of a literal are collected as they come (compiler/build_test.c): no node for each number. */
literal: literal_begin literal_atoms        { $$ = wm_literal_end(p, @$); }
       ;
literal_begin: %empty                       { wm_literal_begin(p); }
             ;
literal_atoms: literal_atom
             | literal_atoms literal_atom
             ;
literal_atom: WORD                          { wm_literal_word(p, @$, false); }
            | '-' WORD                      { wm_literal_word(p, @2, true); }
            | INT                           { wm_literal_int(p, @$, $1); }
            | '-' INT                       { wm_literal_negative(p, @$, $2); }
            | FLOAT                         { wm_literal_float(p, @$, $1); }
            | '-' FLOAT                     { wm_literal_float(p, @$, -$2); }
            | "true"                        { wm_literal_bool(p, @$, true); }
            | "false"                       { wm_literal_bool(p, @$, false); }
            | literal_open ']'              { wm_literal_close(p, @$); }
            | literal_open literal_atoms ']' { wm_literal_close(p, @$); }
            ;
literal_open: '['                           { wm_literal_open(p, @$); }
            ;

%%

/* Hands what bison knows to expect.c, which says it in the language of the spec. */
static int yyreport_syntax_error(const yypcontext_t *context, wm_parser *p)
{
    yysymbol_kind_t kinds[YYNTOKENS];
    int codes[YYNTOKENS];
    int count = yypcontext_expected_tokens(context, kinds, YYNTOKENS), tokens = 0;
    bool wanted[YYNTOKENS] = {false};
    for (int i = 0; i < count; i++)
        wanted[kinds[i]] = true;
    for (int code = 0; code < (int)(sizeof yytranslate / sizeof *yytranslate); code++)
        if (yytranslate[code] < YYNTOKENS && wanted[yytranslate[code]]) {
            codes[tokens++] = code;
            wanted[yytranslate[code]] = false;
        }
    wm_span *span = yypcontext_location(context);
    wm_expected(p, *span, codes, tokens);
    wm_recover(p);
    return 0;
}

void wm_yyerror(wm_span *span, wm_parser *p, const char *message)
{
    (void)message; /* bison has just one left: its stack is full */
    wm_syntax(p, WM_E0902, *span, "this is nested too deeply");
    p->stopped = true;
}
