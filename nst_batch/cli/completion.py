"""``nst-batch completion``: what a shell offers at the press of the tab key, and the scripts that make it ask.

A script calls ``nst-batch`` with the line so far in its environment, and gets a candidate a line, each with its
explanation behind a tab. Typer finds commands, options and words; the functions here find the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import typer

from nst_batch.cli.console import reports_errors
from nst_batch.errors import ExitCode

ASKED = "_NST_BATCH_COMPLETE"
_ASK = f"{ASKED}=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS"

# Bash takes `=` and `:` for the ends of words: of what is offered, it gets what follows the last of them.
# A candidate that ends in `=` or `.` is half a word: no space after it.
_BASH = f"""\
_nst_batch() {{
    local line=${{COMP_LINE:0:COMP_POINT}} candidate
    local typed=${{line##*[ ]}} current=${{COMP_WORDS[COMP_CWORD]}}
    [[ $current == [=:]* ]] && current=${{current:1}}
    local before=${{typed%"$current"}}
    COMPREPLY=()
    while IFS=$'\\t' read -r candidate _; do
        [[ -n $candidate ]] && COMPREPLY+=("${{candidate#"$before"}}")
    done < <({_ASK}="$line" "$1" 2>/dev/null)
    [[ ${{#COMPREPLY[@]}} == 1 && ${{COMPREPLY[0]}} == *[=.] ]] && compopt -o nospace 2>/dev/null
    return 0
}}
complete -o default -F _nst_batch nst-batch
"""

_ZSH = f"""\
#compdef nst-batch
_nst_batch() {{
    local -a whole half
    local candidate about
    while IFS=$'\\t' read -r candidate about; do
        [[ -z $candidate ]] && continue
        if [[ $candidate == *[=.] ]]; then
            half+=("$candidate")
        else
            whole+=("${{candidate//:/\\\\:}}${{about:+:$about}}")
        fi
    done < <({_ASK}="${{(j: :)words[1,CURRENT]}}" "${{(Q)words[1]}}" 2>/dev/null)
    (( $#whole )) && _describe 'nst-batch' whole
    (( $#half )) && compadd -S '' -a half
    (( $#whole + $#half )) || _files
}}
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit; }}
compdef _nst_batch nst-batch
"""

_FISH = f"""\
function __nst_batch_candidates
    set --local program (commandline -opc)[1]
    env {_ASK}=(commandline -cp) $program 2>/dev/null
end
complete --command nst-batch --no-files --condition 'test -n "$(__nst_batch_candidates)"' \\
    --arguments '(__nst_batch_candidates)'
complete --command nst-batch --force-files --condition 'test -z "$(__nst_batch_candidates)"'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@reports_errors
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.", metavar="bash|zsh|fish")],
) -> int:
    """Print a script that completes commands, options, presets and settings at the tab key.

    bash, zsh: put `source <(nst-batch completion bash)`, or zsh, into ~/.bashrc or ~/.zshrc.

    fish: nst-batch completion fish > ~/.config/fish/completions/nst-batch.fish
    """
    print(SCRIPTS[shell], end="")
    return ExitCode.DONE


def prepare_answer() -> None:
    """Let Typer answer, when it is a shell that asks."""
    if ASKED in os.environ:
        from typer.completion import get_completion_inspect_parameters

        get_completion_inspect_parameters()  # which is what makes shells known


def preset_names(incomplete: str) -> list[str]:
    """Presets that begin so."""
    from nst_batch.pipeline_file.presets import PRESETS

    return _beginning(incomplete, PRESETS)


def assignments(incomplete: str) -> list[str]:
    """What ``--set`` may be, a step at a time: ``transfer.``, then ``transfer.pooling=``, then its words."""
    key, sign, _ = incomplete.partition("=")
    section, dot, name = key.partition(".")
    if sign:
        return _beginning(incomplete, (f"{key}={word}" for word in _words(section, name)))
    if dot:
        return _beginning(incomplete, (f"{section}.{each}=" for each in _fields(section)))
    from nst_batch.pipeline_file.spec import PipelineSpec

    known = (f"{each}." if _fields(each) else f"{each}=" for each in PipelineSpec.model_fields)
    return _beginning(incomplete, known)


def _fields(section: str) -> Iterable[str]:
    """Of a section of the pipeline file; none of what is a single value."""
    if section not in ("transfer", "sweep", "output", "run", "limits", "cluster"):
        return ()
    from nst_batch.pipeline_file.spec import fields_of

    return fields_of(section)


def _words(section: str, name: str) -> Iterator[str]:
    """What a value may be, as far as it is one of some words."""
    from nst_batch.settings import SETTINGS, TYPES, words_of

    if (section, name) == ("transfer", "preset"):
        yield from preset_names("")
    elif section == "transfer" and name in SETTINGS:
        yield from words_of(name)
        yield from ("true", "false") if TYPES[name] is bool else ()


def _beginning(incomplete: str, candidates: Iterable[str]) -> list[str]:
    return [each for each in candidates if each.startswith(incomplete)]
