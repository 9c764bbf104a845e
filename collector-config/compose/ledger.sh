#!/usr/bin/env bash
# Brings a ledger up to date: each numbered file once, then the landing tables and the refreshes.
#   CLICKHOUSE_HOST CLICKHOUSE_USER CLICKHOUSE_PASSWORD CLICKHOUSE_DATABASE   whose
#   ledger.sh [FOLDER]                                                        of the SQL files
set -euo pipefail
folder=${1:-/ledger/sql}
database=$CLICKHOUSE_DATABASE
ask() { clickhouse-client --host "$CLICKHOUSE_HOST" --user "$CLICKHOUSE_USER" --database "$database" "$@"; }

applied=''
[ "$(ask --query 'EXISTS TABLE tollspan_schema')" = 1 ] &&
  applied=$(ask --query 'SELECT DISTINCT version FROM tollspan_schema')
for file in "$folder"/[0-9]*_*.sql; do
  name=$(basename "$file")
  version=$((10#${name%%_*}))
  grep -qx "$version" <<< "$applied" && continue
  echo "applying $name"
  ask --queries-file "$file"
  ask --query "INSERT INTO tollspan_schema (version, name) VALUES ($version, '$name')"
done
for name in landing.sql refresh.sql; do
  [ ! -f "$folder/$name" ] || ask --queries-file "$folder/$name"
done
# A view that was there has the text of its day. It gets today's between two inserts: to drop it and make it
# again would lose what comes meanwhile.
view="CREATE MATERIALIZED VIEW IF NOT EXISTS ([a-z_]+)( ON CLUSTER '[^']+')? TO [a-z_]+ AS(.*)"
while IFS= read -r -d ';' statement; do
  if [[ $statement =~ $view ]]; then
    ask --query "ALTER TABLE ${BASH_REMATCH[1]}${BASH_REMATCH[2]} MODIFY QUERY${BASH_REMATCH[3]}"
  fi
done < <(sed 's/^ *--.*//' "$folder/landing.sql")
echo "the ledger is up to date"
