/* cli/explain.c: `wmap explain`: the mapping that was derived, an inner form of the spec, or what an error
 * means.
 */
#include <stdlib.h>

#include "cli.h"

int wm_cmd_explain(const wm_args *args)
{
    wm_input input;
    if (wm_args_has(args, WM_FLAG_LIST)) {
        return wm_list_pages();
    }
    if (args->word_count == 1 && wm_is_page(args->words[0])) {
        return wm_explain_page(args->words[0]);
    }
    const char *stage = wm_args_value(args, WM_FLAG_STAGE);
    if (!stage && wm_args_has(args, WM_FLAG_FROM) && !wm_args_has(args, WM_FLAG_MOVES)) {
        stage = "derived"; /* a map that nobody wrote is what one wants to see */
    }
    int status = wm_input_open(&input, args);
    input.judge = true;
    if (status == WM_EXIT_DONE && input.is_plan && (stage || input.archive_count)) {
        wm_say("explain: %s is a plan: it has no stages, and its sources are settled", input.path);
        status = WM_EXIT_FAILED;
    } else if (status == WM_EXIT_DONE && stage) {
        uint8_t *bytes;
        size_t size;
        status = wm_compile(&input, args, stage, &bytes, &size);
    } else if (status == WM_EXIT_DONE) {
        wmap_plan *plan = wm_input_plan(&input, args, &status);
        if (plan) {
            wmap_plan_print(plan, stdout, wm_args_has(args, WM_FLAG_MOVES));
            fflush(stdout);
            wm_input_say_reversal(&input, args, true);
        } else if (status == WM_EXIT_DONE) {
            wm_say("explain: the mapping needs a source: add the file, or `map ... from` a model");
            status = WM_EXIT_FAILED;
        }
        wmap_plan_free(plan);
    }
    wm_input_free(&input);
    return status;
}
