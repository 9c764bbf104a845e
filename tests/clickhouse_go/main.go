// Reads and writes over ClickHouse's HTTP interface as the collector's exporter and Grafana's plugin
// do: with clickhouse-go. Prints one JSON object; tests/test_clickhouse_http.py reads it.
//
//	clickhouse_go DSN [INSERT-TABLE]
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/shopspring/decimal"
)

func main() {
	said, err := run(os.Args[1], os.Args[2:])
	if err != nil {
		said["error"] = err.Error()
	}
	text, _ := json.Marshal(said)
	fmt.Println(string(text))
}

func run(dsn string, tables []string) (map[string]any, error) {
	said := map[string]any{}
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return said, err
	}
	connection, err := clickhouse.Open(options)
	if err != nil {
		return said, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	server, err := connection.ServerVersion()
	if err != nil {
		return said, err
	}
	said["version"], said["revision"] = server.Version.String(), server.Revision

	if len(tables) > 0 {
		batch, err := connection.PrepareBatch(ctx, "INSERT INTO "+tables[0]+" (n, tags) VALUES (?, ?)")
		if err != nil {
			return said, err
		}
		for n := range 3 {
			if err := batch.Append(uint32(n), map[string]string{"number": fmt.Sprint(n)}); err != nil {
				return said, err
			}
		}
		return said, batch.Send()
	}

	// More rows than a block holds, and the types that our tables have.
	rows, err := connection.Query(ctx, `
		SELECT number, toLowCardinality(toString(number % 3)), toDecimal64(number, 12) / 8,
		       map('a', toString(number)), [number], if(number % 2 = 0, NULL, toFloat64(number)),
		       fromUnixTimestamp64Nano(toInt64(number), 'UTC')
		FROM numbers(90000)`)
	if err != nil {
		return said, err
	}
	var count, sum uint64
	for rows.Next() {
		var (
			number uint64
			low    string
			money  decimal.Decimal
			mapped map[string]string
			list   []uint64
			odd    *float64
			at     time.Time
		)
		if err := rows.Scan(&number, &low, &money, &mapped, &list, &odd, &at); err != nil {
			return said, err
		}
		if mapped["a"] != fmt.Sprint(number) || list[0] != number || (odd == nil) != (number%2 == 0) ||
			at.UnixNano() != int64(number) {
			return said, fmt.Errorf("row %d is not as it was asked for", number)
		}
		said["money"] = money.String()
		count, sum = count+1, sum+number
	}
	said["count"], said["sum"] = count, sum
	if err := rows.Err(); err != nil {
		return said, err
	}

	var bound string
	row := connection.QueryRow(clickhouse.Context(ctx, clickhouse.WithParameters(
		clickhouse.Parameters{"who": "O'Brien"})), "SELECT {who:String}")
	if err := row.Scan(&bound); err != nil {
		return said, err
	}
	said["bound"] = bound

	empty, err := connection.Query(ctx, "SELECT call_id, cost_usd FROM tollspan_calls WHERE 0")
	if err != nil {
		return said, err
	}
	said["columns"] = empty.Columns()
	said["refused"] = fmt.Sprint(connection.Exec(ctx, "DROP TABLE llm_calls"))
	return said, nil
}
