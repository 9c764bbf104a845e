#!/usr/bin/env bash
# Brings a ledger up to date: each numbered file once, then the landing tables and the refreshes.
#   CLICKHOUSE_HOST CLICKHOUSE_USER CLICKHOUSE_PASSWORD CLICKHOUSE_DATABASE   whose
#   ledger.sh [FOLDER]                                                        of the SQL files
# Exit code 2, and nothing changed, where the ledger is of a newer tollspan than the files.
set -euo pipefail
folder=${1:-/ledger/sql}
refuse() { echo "ledger.sh: $1" >&2; exit 2; }
for name in CLICKHOUSE_HOST CLICKHOUSE_USER CLICKHOUSE_DATABASE; do
  [ -n "${!name-}" ] || refuse "$name is not set"
done
compgen -G "$folder/[0-9]*_*.sql" > /dev/null || refuse "$folder has no numbered SQL files: ledger.sh FOLDER"
database=$CLICKHOUSE_DATABASE
ask() { clickhouse-client --host "$CLICKHOUSE_HOST" --user "$CLICKHOUSE_USER" --database "$database" "$@"; }

# On lines of their own: a server that does not answer ends the script here.
is_there=$(ask --query 'EXISTS TABLE tollspan_schema')
applied=''
[ "$is_there" = 0 ] || applied=$(ask --query 'SELECT DISTINCT version FROM tollspan_schema')
newest=0
for file in "$folder"/[0-9]*_*.sql; do
  name=$(basename "$file")
  newest=$((10#${name%%_*}))
done
for version in $applied; do
  if [ "$version" -gt "$newest" ]; then
    # Its views would get an older text, and what came since would lack what the newer one writes.
    refuse "$database is of a newer tollspan (version $version, here $newest): use the files of that one"
  fi
done
for file in "$folder"/[0-9]*_*.sql; do
  name=$(basename "$file")
  version=$((10#${name%%_*}))
  grep -qx "$version" <<< "$applied" && continue
  echo "applying $name"
  ask --queries-file "$file"
  ask --query "INSERT INTO tollspan_schema (version, name) VALUES ($version, '$name')"
done
# A view that was there has the text of its day. It gets today's between two inserts: to drop it and make it
# again would lose what comes meanwhile.
view="CREATE MATERIALIZED VIEW IF NOT EXISTS ([a-z_]+)( ON CLUSTER '[^']+')?( REFRESH [A-Z0-9 ]+)? TO [a-z_]+ AS(.*)"
for name in landing.sql refresh.sql; do
  [ -f "$folder/$name" ] || continue
  ask --queries-file "$folder/$name"
  while IFS= read -r -d ';' statement; do
    if [[ $statement =~ $view ]]; then
      ask --query "ALTER TABLE ${BASH_REMATCH[1]}${BASH_REMATCH[2]} MODIFY QUERY${BASH_REMATCH[4]}"
    fi
  done < <(sed 's/^ *--.*//' "$folder/$name")
done
echo "the ledger is up to date"
