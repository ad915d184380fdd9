#!/usr/bin/env bash
# The paper's studies on Cloud TPUs that are asked for in Google's queue, and asked for again when they are preempted.
#
#   experiments/paper/engines/tpu_slices.sh --name N --zone Z --accelerator-type v5litepod-16 \
#     --runtime-version v2-alpha-tpuv5-lite --spot --workdir gs://BUCKET/paper -- all --data-dir gs://BUCKET/data
#
# What stands behind -- is for `python -m experiments.paper`, which all hosts of all slices run together
# (--distributed True). The work is kept in the bucket, so whatever is lost goes on from the last checkpoint there.
# --help lists the options. Exit status: that of the command, or 2 for wrong options.
set -euo pipefail

usage() {
  cat <<'END'
usage: tpu_slices.sh OPTIONS -- WORDS of python -m experiments.paper

needed:
  --name NAME               of the queued resource; one that is there already is used
  --zone ZONE               such as us-central1-a
  --accelerator-type TYPE   such as v5litepod-16
  --runtime-version NAME    such as v2-alpha-tpuv5-lite
  --workdir gs://...        where studies are kept; a TPU's own disk goes with it

others:
  --project NAME            [default: gcloud's own]
  --node-count N            slices that work together [default: 1]
  --spot                    ask for capacity that may be preempted
  --valid-until-duration T  give up where the queue has nothing for so long, such as 6h
  --service-account NAME    whose rights the hosts have, on the bucket too
  --internal-ip             reach the hosts at their internal addresses, and give them no others
  --source URL              of the repository [default: this clone's origin]
  --commit REV              which code [default: this clone's]
  --extras NAMES            to install [default: tpu,gcs]
  --poll-seconds N          between two looks [default: 30]
  --attempts N              most times that the TPUs are asked for [default: 100]
  --keep                    do not give the TPUs back at the end
  --dry-run                 print the commands, as they would be run where nothing is lost, and run none
END
}

refuse() {
  echo "error: $*" >&2
  exit 2
}

name='' zone='' accelerator='' runtime='' workdir='' project='' nodes=1 spot='' until='' account='' internal=''
source='' commit='' extras=tpu,gcs poll=30 attempts=100 keep='' dry=''

while (($#)); do
  case $1 in
    --help) usage; exit 0 ;;
    --spot) spot=yes; shift; continue ;;
    --internal-ip) internal=yes; shift; continue ;;
    --keep) keep=yes; shift; continue ;;
    --dry-run) dry=yes; shift; continue ;;
    --) shift; break ;;
    --*) (($# > 1)) || refuse "$1: is given nothing" ;;
    *) refuse "$1: is no option; the words of the command stand behind --" ;;
  esac
  case $1 in
    --name) name=$2 ;;
    --zone) zone=$2 ;;
    --accelerator-type) accelerator=$2 ;;
    --runtime-version) runtime=$2 ;;
    --workdir) workdir=$2 ;;
    --project) project=$2 ;;
    --node-count) nodes=$2 ;;
    --valid-until-duration) until=$2 ;;
    --service-account) account=$2 ;;
    --source) source=$2 ;;
    --commit) commit=$2 ;;
    --extras) extras=$2 ;;
    --poll-seconds) poll=$2 ;;
    --attempts) attempts=$2 ;;
    *) refuse "$1: is no option (all options: tpu_slices.sh --help)" ;;
  esac
  shift 2
done

[[ -n $name ]] || refuse '--name: must be given, such as paper'
[[ -n $zone ]] || refuse '--zone: must be given, such as us-central1-a'
[[ -n $accelerator ]] || refuse '--accelerator-type: must be given, such as v5litepod-16'
[[ -n $runtime ]] || refuse '--runtime-version: must be given, such as v2-alpha-tpuv5-lite'
[[ $workdir == gs://* ]] || refuse "--workdir ${workdir:-}: must be a folder of a bucket, gs://..., which outlives the TPUs"
(($#)) || refuse 'the words of the command must stand behind --, such as: -- all --data-dir gs://...'
for number in "--node-count $nodes" "--poll-seconds $poll" "--attempts $attempts"; do
  [[ $number =~ \ [0-9]+$ ]] || refuse "$number: must be a number"
done
((nodes > 0)) || refuse "--node-count $nodes: must be 1 or more"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=${source:-$(git -C "$here" remote get-url origin 2>/dev/null || true)}
commit=${commit:-$(git -C "$here" rev-parse HEAD 2>/dev/null || true)}
[[ -n $source && -n $commit ]] || refuse '--source: this is no clone with an origin; --source and --commit must be given'
for word in "$source" "$workdir" "$@"; do
  # A host's commands can be read by whoever may read its processes, and studies keep theirs.
  [[ ! $word =~ ://[^/]*@ ]] || refuse 'an address has credentials; a cloud must be told them in its own way'
  [[ $word != --workdir && $word != --workdir=* && $word != --distributed* ]] ||
    refuse "$word: must be left out behind --, where this script puts it"
done

queue=(gcloud compute tpus queued-resources)
at=("$name" "--zone=$zone" ${project:+"--project=$project"})
create=("${queue[@]}" create "${at[@]}" "--accelerator-type=$accelerator" "--runtime-version=$runtime")
if ((nodes > 1)); then create+=("--node-count=$nodes" "--node-prefix=$name"); else create+=("--node-id=$name"); fi
create+=(${spot:+--spot} ${until:+"--valid-until-duration=$until"} ${internal:+--internal-ips})
create+=(${account:+"--service-account=$account" --scopes=cloud-platform})
look=("${queue[@]}" describe "${at[@]}" '--format=value(state.state)')
give_back=("${queue[@]}" delete "${at[@]}" --force --quiet)

quoted() { printf '%q ' "$@"; }

# On every host of every slice. flock: where a connection was lost the command may still be at work there.
on_all=("${queue[@]}" ssh "${at[@]}" --node=all --worker=all ${internal:+--internal-ip})
prepare="set -e
test -d distill-jax || git clone --quiet $(quoted "$source")distill-jax
cd distill-jax
git fetch --quiet origin
git checkout --quiet $(quoted "$commit")
python3 -m pip install --quiet --user uv
test -d .venv || ~/.local/bin/uv venv --quiet --python 3.12 .venv
~/.local/bin/uv pip install --quiet --python .venv/bin/python -e $(quoted ".[$extras]")"
words=(.venv/bin/python -m experiments.paper "$@" --workdir "$workdir" --distributed True)
finished='distill-jax: all is done' # gcloud's own status is not relied on: a host may be lost without it
work="cd distill-jax && flock --timeout 900 ~/.distill-jax.lock $(quoted "${words[@]}")&& echo '$finished'"

say() { echo "$(date -u +%FT%TZ) $*"; }

state() { # of the queued resource, or NONE; ends the script where gcloud does not say
  local said
  if said=$("${look[@]}" 2>&1); then
    echo "${said##*$'\n'}"
  elif [[ $said == *NOT_FOUND* ]]; then
    echo NONE
  else
    echo "error: $said" >&2
    return 1
  fi
}

if [[ -n $dry ]]; then
  for command in create look; do
    declare -n line=$command
    quoted "${line[@]}" && echo
  done
  quoted "${on_all[@]}" "--command=$prepare" && echo
  quoted "${on_all[@]}" "--command=$work" && echo
  [[ -n $keep ]] || { quoted "${give_back[@]}" && echo; }
  exit 0
fi

said=$(mktemp)
trap 'rm -f "$said"' EXIT
asked=0 ready='' status=0 failed=0
while true; do
  now=$(state)
  case $now in
    NONE)
      ((asked < attempts)) || { say "asked for $asked times; given up"; exit 1; }
      asked=$((asked + 1)) ready='' failed=0
      say "asks for $nodes x $accelerator (time $asked)"
      "${create[@]}"
      ;;
    ACTIVE)
      if [[ -z $ready ]]; then
        say "active; prepares all hosts"
        if ! "${on_all[@]}" "--command=$prepare"; then
          failed=$((failed + 1))
          ((failed < 5)) || { say 'the hosts cannot be prepared'; exit 1; }
          sleep "$poll"
          continue
        fi
        ready=yes failed=0
      fi
      say 'trains'
      status=0
      "${on_all[@]}" "--command=$work" | tee "$said" || status=$?
      if ((status == 0)) && grep -q "$finished" "$said"; then break; fi
      sleep "$poll" # a preemption takes a moment to be said
      now=$(state)
      if [[ $now == ACTIVE ]]; then # not preempted: what failed is the command, or the connection
        failed=$((failed + 1))
        if ((status == 2 || failed == 5)); then
          say "the command has failed (status $status); the TPUs are kept: ${give_back[*]}"
          exit $((status ? status : 1))
        fi
        say "has ended with status $status, and goes on"
      else
        say "lost ($now)"
      fi
      ;;
    SUSPENDED | FAILED)
      say "$now: gives it back, to ask again"
      "${give_back[@]}"
      ;;
    *) # in the queue, or being made or taken
      say "$now"
      sleep "$poll"
      ;;
  esac
done
[[ -n $keep ]] || "${give_back[@]}"
say 'done'
