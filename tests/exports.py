"""Exports of providers made by hand, in the shapes that their documents and consoles show. Made up."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

DAY = datetime(2026, 11, 18, tzinfo=UTC)
START, END = int(DAY.timestamp()), int(DAY.timestamp()) + 86_400


def page(results: list[dict[str, Any]], *, start: int = START, **more: Any) -> str:
    """A page of OpenAI's usage or cost API with one bucket."""
    bucket = {"object": "bucket", "start_time": start, "end_time": start + 86_400}
    made = {"object": "page", "data": [bucket | {"results": results}], "has_more": False}
    return json.dumps(made | {"next_page": None} | more)


def openai_usage(**more: Any) -> dict[str, Any]:
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": 10_000,
        "output_tokens": 1_000,
        "input_cached_tokens": 0,
        "input_audio_tokens": 0,
        "num_model_requests": 10,
        "project_id": None,
        "user_id": None,
        "api_key_id": None,
        "model": "gpt-4o-mini-2024-07-18",
        "batch": False,
        "service_tier": "default",
    } | more


def openai_cost(value: Any, item: str | None, **more: Any) -> dict[str, Any]:
    amount = {"value": value, "currency": "usd"}
    made = {"object": "organization.costs.result", "amount": amount, "line_item": item}
    return made | {"project_id": None} | more


OPENAI_USAGE_CSV = """\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,\
model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens,input_audio_tokens
1794960000,1795046400,2026-11-18T00:00:00+00:00,2026-11-19T00:00:00+00:00,proj_a,10,,key_1,\
gpt-4o-mini-2024-07-18,False,default,10000,1000,0,0
1795046400,1795132800,2026-11-19T00:00:00+00:00,2026-11-20T00:00:00+00:00,,,,,,,,,,,
"""
OPENAI_COST_CSV = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,\
line_item,user_id,api_key_id,project_id,organization_id
1794960000,1795046400,2026-11-18T00:00:00,2026-11-19T00:00:00,0.0015000000000000,usd,10000,tokens,\
"gpt-4o-mini-2024-07-18, input",,key_1,proj_a,org-x
1794960000,1795046400,2026-11-18T00:00:00,2026-11-19T00:00:00,0.0006000000000000,usd,1000,tokens,\
"gpt-4o-mini-2024-07-18, output",,key_1,proj_a,org-x
1795046400,1795132800,2026-11-19T00:00:00,2026-11-20T00:00:00,,,,,,,,,
"""


def anthropic(results: list[dict[str, Any]], **more: Any) -> str:
    """A page of Anthropic's usage or cost report with one bucket."""
    bucket = {"starting_at": "2026-11-18T00:00:00Z", "ending_at": "2026-11-19T00:00:00Z"}
    made = {"data": [bucket | {"results": results}], "has_more": False, "next_page": None}
    return json.dumps(made | more)


ANTHROPIC_USAGE: dict[str, Any] = {
    "uncached_input_tokens": 1_500,
    "cache_creation": {"ephemeral_1h_input_tokens": 1_000, "ephemeral_5m_input_tokens": 500},
    "cache_read_input_tokens": 200,
    "output_tokens": 500,
    "server_tool_use": {"web_search_requests": 10},
    "api_key_id": "apikey_1",
    "workspace_id": "wrkspc_1",
    "model": "claude-sonnet-4-5-20250929",
    "service_tier": "standard",
    "context_window": "0-200k",
}
ANTHROPIC_COST: dict[str, Any] = {
    "currency": "USD",
    "amount": "123.78912",
    "workspace_id": None,
    "description": "Claude Sonnet 4.5 Usage - Input Tokens",
    "cost_type": "tokens",
    "context_window": "0-200k",
    "model": "claude-sonnet-4-5-20250929",
    "service_tier": "standard",
    "token_type": "uncached_input_tokens",
}
ANTHROPIC_USAGE_CSV = """\
usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,\
usage_output_tokens,web_search_count,inference_geo,speed
2026-11-18,claude-sonnet-4-5-20250929,prod,Default,standard,≤ 200k,1500,500,1000,200,500,0,global,
"""
ANTHROPIC_COST_CSV = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,\
cost_type,inference_geo,speed
2026-11-18,Claude Sonnet 4.5,Default,prod,batch,≤ 200k,input_no_cache,1.23,1.23,token,global,
2026-11-18,,Default,prod,standard,,,0.10,0.10,web_search,global,
"""
AZURE_CSV = """\
Date;MeterCategory;MeterSubCategory;MeterName;Quantity;UnitOfMeasure;CostInBillingCurrency;\
BillingCurrencyCode;ResourceId;ConsumedService;ChargeType
11/18/2026;Foundry Models;Azure OpenAI;gpt-4o-mini-0718-Inp-glbl Tokens;1.234,5;1K;0,185175;EUR;\
/subscriptions/s/providers/Microsoft.CognitiveServices/accounts/prod;Microsoft.CognitiveServices;Usage
11/18/2026;Foundry Models;Azure OpenAI;gpt-4o-mini-0718-cached-Inp-glbl Tokens;2;1K;0,00015;EUR;\
/subscriptions/s/providers/Microsoft.CognitiveServices/accounts/prod;Microsoft.CognitiveServices;Usage
11/18/2026;Virtual Machines;D;D2s v3;24;1 Hour;2,5;EUR;/vm;Microsoft.Compute;Usage
11/18/2026;;;;;;0,04;EUR;;;Tax
"""
CUR_CSV = """\
identity/LineItemId,lineItem/UsageAccountId,lineItem/LineItemType,lineItem/UsageStartDate,\
lineItem/UsageEndDate,lineItem/ProductCode,lineItem/UsageType,lineItem/UsageAmount,\
lineItem/CurrencyCode,lineItem/UnblendedCost,product/ProductName,pricing/unit,pricing/publicOnDemandCost
a,111,Usage,2026-11-18T00:00:00Z,2026-11-19T00:00:00Z,AmazonBedrock,USE1-Claude3Sonnet-input-tokens,\
29.481,USD,0.088443,Amazon Bedrock,1K tokens,0.088443
b,111,Usage,2026-11-18T00:00:00Z,2026-11-19T00:00:00Z,abc1,USE1-MP:USE1_OutputTokenCount-Units,0.5,USD,\
2.5,Claude Haiku 4.5 (Amazon Bedrock Edition),Units,
c,111,EdpDiscount,2026-11-18T00:00:00Z,2026-11-19T00:00:00Z,AmazonBedrock,\
USE1-Claude3Sonnet-input-tokens,0,USD,-0.0088,Amazon Bedrock,,
d,111,Usage,2026-11-18T00:00:00Z,2026-11-19T00:00:00Z,AmazonEC2,BoxUsage:t3,24,USD,1.0,EC2,Hrs,1.0
e,111,Usage,2026-11-18T00:00:00Z,2026-11-19T00:00:00Z,AmazonBedrock,USE1-ProvisionedThroughput-hour,1,\
USD,20,Amazon Bedrock,Hrs,20
"""
COST_EXPLORER: dict[str, Any] = {
    "GroupDefinitions": [{"Type": "DIMENSION", "Key": "USAGE_TYPE"}],
    "ResultsByTime": [
        {
            "TimePeriod": {"Start": "2026-11-18", "End": "2026-11-19"},
            "Total": {},
            "Groups": [
                {
                    "Keys": ["USE1-Nova2.0Lite-input-tokens"],
                    "Metrics": {
                        "UnblendedCost": {"Amount": "0.1", "Unit": "USD"},
                        "UsageQuantity": {"Amount": "10", "Unit": "1K tokens"},
                    },
                },
                {
                    "Keys": ["BoxUsage"],
                    "Metrics": {"UnblendedCost": {"Amount": "5", "Unit": "USD"}},
                },
            ],
            "Estimated": True,
        }
    ],
}
BIGQUERY: dict[str, Any] = {
    "service": {"id": "C7E2-9256-1C43", "description": "Vertex AI"},
    "sku": {"id": "x", "description": "Gemini 2.5 Flash GA Text Input - Predictions"},
    "usage_start_time": "2026-11-18 01:00:00 UTC",
    "usage_end_time": "2026-11-18 02:00:00 UTC",
    "project": {"id": "shop"},
    "cost": 0.0012,
    "currency": "USD",
    "credits": [{"name": "Trial", "amount": -0.0012, "type": "PROMOTION"}],
    "usage": {"amount": 4000, "unit": "count"},
    "cost_type": "regular",
}
GOOGLE_CSV = """\
Invoice number,123
Currency,USD

Billing account name,Project ID,Service description,SKU description,Credit type,Cost type,\
Usage start date,Usage end date,Usage amount,Usage unit,Unrounded cost ($),Cost ($)
acct,shop,Gemini API,Gemini 2.5 Flash GA Text Output - Predictions,,Usage,2026-11-01,2026-11-30,\
"1,000,000",count,2.5,2.50
acct,shop,Gemini API,Gemini 2.5 Flash GA Text Output - Predictions,Promotion,Usage,2026-11-01,\
2026-11-30,,,(0.50),(0.50)
acct,shop,,,,Tax,2026-11-01,2026-11-30,,,0.38,0.38
acct,,,Total,,,,,,,,2.38
"""
FOCUS_CSV = """\
BilledCost,ListCost,BillingCurrency,ChargeCategory,ChargeDescription,ChargePeriodStart,ChargePeriodEnd,\
ConsumedQuantity,ConsumedUnit,ProviderName,ServiceCategory,ServiceName,SkuMeter,SubAccountId
0.5,0.6,USD,Usage,,2026-11-18T00:00:00Z,2026-11-19T00:00:00Z,1000,1K Tokens,Microsoft,\
AI and Machine Learning,Azure OpenAI,gpt 4.1 Inp glbl Tokens,sub
9.0,9.0,USD,Usage,,2026-11-18T00:00:00Z,2026-11-19T00:00:00Z,24,Hours,Microsoft,Compute,VM,D2s,sub
0.1,0.1,USD,Tax,VAT,2026-11-18T00:00:00Z,2026-11-19T00:00:00Z,,,Microsoft,,,,
"""
