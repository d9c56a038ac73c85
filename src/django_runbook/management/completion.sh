# Completes runbooks, steps, tags and parameters on the command lines of manage.py.
# Written by "manage.py runbook_completion __SHELL__": load it in the start file of your shell.

_django_runbook() {
    local index manage=-1 word candidate
    local -a start
    COMPREPLY=()
    for ((index = 0; index < COMP_CWORD; index++)); do
        word="${COMP_WORDS[index]}"
        case "$word" in
            manage.py | */manage.py | django-admin | */django-admin) manage=$index ;;
            django) [ "$index" -gt 0 ] && [ "${COMP_WORDS[index - 1]}" = -m ] && manage=$index ;;
        esac
        [ "$manage" -ge 0 ] && break
    done
    if [ "$manage" -ge 0 ] && [ "$COMP_CWORD" -gt $((manage + 1)) ]; then
        case " __COMMANDS__ " in
            *" ${COMP_WORDS[manage + 1]} "*)
                for ((index = 0; index <= manage; index++)); do
                    word="${COMP_WORDS[index]}"
                    case "$word" in
                        "~/"*) word="$HOME/${word#"~/"}" ;;
                    esac
                    start+=("$word")
                done
                start+=(runbook_completion __SHELL__ "--line=${COMP_LINE:0:$COMP_POINT}")
                word="${COMP_WORDS[COMP_CWORD]}"
                # zsh replaces the whole word.
                [ -n "${ZSH_VERSION-}" ] || start+=("--word=$word")
                while IFS= read -r candidate; do
                    # The quotes that begin the word stay.
                    case "$word" in
                        \"*) candidate="$(printf %s "$candidate" | sed 's/[\\"$`]/\\&/g')" ;;
                        \'*) candidate="$(printf %s "$candidate" | sed "s/'/'\\\\''/g")" ;;
                        *) candidate="$(printf %q "$candidate")" ;;
                    esac
                    COMPREPLY+=("$candidate")
                done < <("${start[@]}" 2>/dev/null)
                case "${COMPREPLY[*]}" in
                    # A parameter that still needs its value.
                    *=) type compopt >/dev/null 2>&1 && compopt -o nospace ;;
                esac
                return 0
                ;;
        esac
    fi
    # What completed this program before, such as Django's own completion.
    case "${1##*/}" in
        manage.py) word="$_django_runbook_before_manage" ;;
        django-admin) word="$_django_runbook_before_admin" ;;
        *) word="$_django_runbook_before_python" ;;
    esac
    [ -z "$word" ] || "$word" "$@"
}

_django_runbook_before() {
    complete -p "$1" 2>/dev/null | sed -n 's/.* -F \([^ ]*\).*/\1/p' | grep -v '^_django_runbook$'
}

if [ -n "${ZSH_VERSION-}" ]; then
    autoload -U +X compinit && compinit
    autoload -U +X bashcompinit && bashcompinit
    complete -o default -o nospace -F _django_runbook manage.py django-admin python python3
else
    _django_runbook_before_manage="${_django_runbook_before_manage-$(_django_runbook_before manage.py)}"
    _django_runbook_before_admin="${_django_runbook_before_admin-$(_django_runbook_before django-admin)}"
    _django_runbook_before_python="${_django_runbook_before_python-$(_django_runbook_before python)}"
    complete -o default -F _django_runbook manage.py django-admin python python3
fi
