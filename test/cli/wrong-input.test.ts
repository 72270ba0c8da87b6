/** What a user can get wrong, through the real command line: one clear line, a code, exit 2, nothing else. */
import {mkdir, mkdtemp, readdir, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {Problem, type ProblemCode} from '#llmsim/errors.js'
import {llmsim, root, spawnCliIn} from '../support/cli.js'

const head = 'arrived_at,input_tokens,output_tokens\n'
const mooncake = '{"timestamp": 0, "input_length": 100, "output_length": 5, "hash_ids": [1]}\n'

/** Files that the rows below name; a path that ends in a slash is an empty folder. */
const files: Readonly<Record<string, string | Uint8Array>> = {
  'good.csv': `${head}0,10,5\n1,20,5\n2,30,5\n`,
  'column.csv': 'arrived_at,input_tokens\n0,10\n',
  'negative.csv': `${head}0,10,5\n1,-5,5\n`,
  'nan.csv': `${head}0,10,NaN\n`,
  'time.csv': `${head}soon,10,5\n`,
  'twice.csv': `request_id,${head}a,0,10,5\na,1,10,5\n`,
  'torn.jsonl': `${mooncake}{"timestamp": 1, "input_le`,
  'empty.csv': '',
  'header.csv': head,
  'binary.csv': new Uint8Array([7, 0, 1, 2, 0, 255]),
  'unknown.csv': 'a,b\n1,2\n',
  'none/notes.log': 'nothing here',
  'one-time.csv': `${head}0,10,5\n0,20,5\n`,
  'hangup.csv': `arrived_at,cancelled_at,input_tokens,output_tokens\n0,,10,5\n2,1.999999999,10,5\n`,
  'role.yaml': 'instances:\n  - hardware: H100\n    role: prefil\n',
  'two.yaml': 'hardware: H100\ninstances: 2\n',
  'cluster.json': '{"num_nodes": 1}',
  'torn-cluster.json': '{"num_nodes": 1,',
  counts: '1 2 3',
  infinite: '1 Infinity',
  unused: '0 0 0 0 0 0 0 0',
  'card.yaml': 'extends: H100\nbandwidth_gb_s: fast\n',
  'config.json': '{"architectures": ["MambaForCausalLM"], "model_type": "mamba"}',
  'torn/config.json': '{"architectures": [',
  'keyless.mjs': 'export const victim = "last-admitted"\n',
  'throws.mjs': 'throw new Error("not today")\n',
  'words.mjs': 'export const key = () => "first"\n',
}

interface Wrong {
  /** `simulate good.csv` goes before it; a word that names a file of the table becomes its path. */
  readonly with?: string
  /** The whole command line instead. */
  readonly argv?: string
  readonly code: ProblemCode
  readonly says: RegExp
  readonly tries?: RegExp
}

const traces: readonly Wrong[] = [
  [
    'column.csv',
    'TRACE_MISSING_COLUMN',
    /column\.csv:1: there is no column output_tokens.*has arrived_at, input_tokens/,
    /--columns output=NAME/,
  ],
  ['negative.csv', 'TRACE_BAD_VALUE', /negative\.csv:3:3: input_tokens.*"-5".*at least 1/],
  ['nan.csv', 'TRACE_BAD_VALUE', /nan\.csv:2:6: output_tokens.*NaN.*whole number/],
  ['time.csv', 'TRACE_BAD_VALUE', /time\.csv:2:1: arrived_at.*soon/],
  [
    'twice.csv',
    'TRACE_DUPLICATE_ID',
    /twice\.csv:3: request_id "a" is already used at .*twice\.csv:2/,
  ],
  ['torn.jsonl', 'TRACE_TRUNCATED', /torn\.jsonl:2:\d+: the line ends in the middle/],
  ['empty.csv', 'TRACE_EMPTY', /empty\.csv: the file is empty/],
  ['header.csv', 'TRACE_EMPTY', /header\.csv: the trace has no requests/],
  ['binary.csv', 'TRACE_BINARY', /binary\.csv: the file is binary; a trace is UTF-8 text/],
  [
    'unknown.csv',
    'TRACE_FORMAT_UNKNOWN',
    /unknown\.csv:1:1: the format is not known.*known are/,
    /--columns/,
  ],
  ['none', 'TRACE_NOT_FOUND', /none: the folder holds no trace \(a file that ends in \.csv/],
  ['goood.csv', 'TRACE_NOT_FOUND', /goood\.csv: there is no such file or folder/, /good\.csv$/m],
  [
    '-',
    'TRACE_NOT_FOUND',
    /^-: a trace is read from files and folders, not from standard input/,
    /file/,
  ],
].map(([file, code, says, tries]) => ({
  argv: `simulate ${file} --hardware H100`,
  code: code as ProblemCode,
  says: says as RegExp,
  ...(tries !== undefined && {tries: tries as RegExp}),
}))

const ofTrace: readonly Wrong[] = [
  {
    with: '--hardware H100 --format jsonl',
    code: 'FLAG_BAD_VALUE',
    says: /--format: there is no trace format "jsonl"; it can be azure/,
  },
  {
    with: '--hardware H100 --format mooncake',
    code: 'TRACE_FORMAT_UNKNOWN',
    says: /good\.csv:1:1: --format mooncake is JSONL/,
  },
  {
    with: '--hardware H100 --columns input=foo',
    code: 'TRACE_MISSING_COLUMN',
    says: /good\.csv:1: --columns takes input_tokens from "foo"/,
  },
  {
    with: '--hardware H100 --columns foo',
    code: 'FLAG_BAD_VALUE',
    says: /--columns foo: "foo" is not OURS=THEIRS/,
  },
  {
    with: '--hardware H100 --rate -1',
    code: 'FLAG_BAD_VALUE',
    says: /--rate: -1 is not a number above 0/,
  },
  {
    with: '--hardware H100 --rate fast',
    code: 'FLAG_BAD_VALUE',
    says: /--rate fast: it must be a number/,
  },
  {
    with: '--hardware H100 --time-scale 0',
    code: 'FLAG_BAD_VALUE',
    says: /--time-scale: 0 is not a number above 0/,
  },
  {
    with: '--hardware H100 --limit 0',
    code: 'FLAG_BAD_VALUE',
    says: /--limit: 0 is not a number above 0/,
  },
  {
    with: '--hardware H100 --limit 1.5',
    code: 'FLAG_BAD_VALUE',
    says: /--limit: 1\.5 is not a whole number/,
  },
  {
    with: '--hardware H100 --time-scale 0.5 --rate 4',
    code: 'FLAG_CONFLICT',
    says: /--time-scale and --rate: both set the pace/,
    tries: /leave one of the two out/,
  },
  {
    with: '--hardware H100 --from 5 --to 2',
    code: 'FLAG_CONFLICT',
    says: /--to 2 must be later than --from 5/,
  },
  {
    with: '--hardware H100 --from 50',
    code: 'TRACE_EMPTY',
    says: /No request arrives at --from 50 s or later; the trace reaches from 0 to 2 s/,
  },
  {
    argv: 'simulate one-time.csv --hardware H100 --rate 4',
    code: 'FLAG_CONFLICT',
    says: /--rate 4 cannot be reached: all requests .* at one time/,
  },
]

const ofHardware: readonly Wrong[] = [
  {with: '', code: 'FLAG_MISSING', says: /Missing --hardware NAME/, tries: /hardware list/},
  {with: '--hardware H101', code: 'HARDWARE_UNKNOWN', says: /no accelerator "H101"/, tries: /H100/},
  {
    with: '--hardware H100,',
    code: 'FLAG_BAD_VALUE',
    says: /--hardware "H100,": a name is empty/,
    tries: /--hardware H100$/,
  },
  {
    with: '--hardware H100,A100-80GB,A100',
    code: 'FLAG_BAD_VALUE',
    says: /--hardware names A100 twice/,
  },
  {with: '--hardware H100,H102', code: 'HARDWARE_UNKNOWN', says: /no accelerator "H102"/},
  {
    with: '--hardware H100 --hardware A100',
    code: 'FLAG_BAD_VALUE',
    says: /--hardware can only be specified once/,
  },
  {
    with: '--hardware ./nope.yaml',
    code: 'HARDWARE_BAD_FILE',
    says: /nope\.yaml: there is no such file/,
  },
  {
    with: '--hardware card.yaml',
    code: 'HARDWARE_BAD_FILE',
    says: /card\.yaml:2:17: bandwidth_gb_s/,
  },
  {
    with: '--hardware H100 --link nvlink9',
    code: 'LINK_UNKNOWN',
    says: /--link: H100 has no link "nvlink9"; it has nvlink4/,
    tries: /--link nvlink4/,
  },
  {
    with: '--hardware H100 --npu 0',
    code: 'FLAG_BAD_VALUE',
    says: /--npu: .*greater than or equal to 1.*0/,
  },
  {
    with: '--hardware H100 --tp 3',
    code: 'PARALLELISM_INVALID',
    says: /--tp 3 does not divide .*32 query heads/,
    tries: /--tp may be 1, 2, 4/,
  },
  {
    with: '--hardware H100 --npu 8 --tp 3',
    code: 'PARALLELISM_INVALID',
    says: /--npu 8 is not a multiple of tp 3\./,
    tries: /--npu 6[\s\S]*--npu 9/,
  },
  {
    with: '--hardware H100 --npu 4 --tp 2 --instances 4',
    code: 'PARALLELISM_INVALID',
    says: /--npu 4: tp 2 .* instances 4 = 8/,
    tries: /--npu 8/,
  },
  {
    with: '--hardware H100 --pp 33',
    code: 'PARALLELISM_INVALID',
    says: /--pp 33 is more than the 32 layers of meta-llama/,
    tries: /--pp may be 1 to 32/,
  },
  {
    with: '--hardware H100 --pp 2 --async-scheduling',
    code: 'FLAG_CONFLICT',
    says: /--async-scheduling and --pp 2/,
    tries: /Leave --async-scheduling out/,
  },
  {
    with: '--hardware RTX4090 --pp 2 --link none',
    code: 'LINK_UNKNOWN',
    says: /none/,
    tries: /pcie/,
  },
  {
    with: '--hardware H100 --model mixtral-8x7b --npu 4 --dp 2 --ep 2',
    code: 'PARALLELISM_INVALID',
    says: /--ep 2: the experts of 2 data-parallel ranks with tp 2 are spread over all 4/,
    tries: /--ep 4/,
  },
  {
    with: '--hardware H100 --expert-load hot',
    code: 'FLAG_BAD_VALUE',
    says: /--expert-load hot: it is no load, and no such file/,
    tries: /--expert-load power-law:0.5/,
  },
  ...(
    [
      ['counts', /--expert-load: the file has 3 counts, and .*Mixtral.* has 8 experts a layer/],
      ['infinite', /infinite: count 2 is "Infinity"/],
      ['unused', /unused: no expert was ever used/],
      ['none', /--expert-load .*none: it is a folder/],
    ] as const
  ).map(
    ([file, says]): Wrong => ({
      with: `--hardware H100 --npu 4 --ep 4 --model mixtral-8x7b --expert-load ${file}`,
      code: 'FLAG_BAD_VALUE',
      says,
    }),
  ),
  {
    with: '--hardware H100 --kv-stream layer',
    code: 'FLAG_CONFLICT',
    says: /--kv-stream needs instances that decode/,
    tries: /--prefill 1 --decode 1/,
  },
  {
    with: '--hardware H100 --decode-stay-below 64 --instances 2',
    code: 'FLAG_CONFLICT',
    says: /--decode-stay-below needs instances that decode/,
  },
  {
    with: '--hardware H100 --seed 4294967296',
    code: 'FLAG_BAD_VALUE',
    says: /--seed: .*less than or equal to 4294967295/,
  },
  {
    with: '--hardware H100 --prefill 2',
    code: 'FLAG_CONFLICT',
    says: /--prefill needs --decode/,
    tries: /--decode 1/,
  },
  {
    with: '--hardware H100 --prefill 2 --decode 1 --instances 4',
    code: 'FLAG_CONFLICT',
    says: /--instances 4: --prefill and --decode are 2 \+ 1 = 3/,
    tries: /Leave --instances out/,
  },
  {
    with: '--hardware H100 --prefill 1 --decode 1 --decode-router nearest',
    code: 'FLAG_BAD_VALUE',
    says: /--decode-router: there is no router "nearest"/,
    tries: /--decode-router least-requests/,
  },
  {
    with: '--hardware H100 --prefill 1 --decode 1 --max-loras 2',
    code: 'FLAG_CONFLICT',
    says: /--max-loras and prefill and decode on different engines/,
    tries: /Leave --max-loras out/,
  },
  {
    with: '--hardware H100 --npu 2 --ep 2',
    code: 'PARALLELISM_INVALID',
    says: /--ep 2 needs a model with experts/,
  },
  {
    with: '--hardware H200 --model mixtral-8x7b --npu 3 --tp 1 --ep 3',
    code: 'PARALLELISM_INVALID',
    says: /--ep 3 .*8 experts/,
  },
  {
    with: '--hardware H100 --router rr',
    code: 'FLAG_BAD_VALUE',
    says: /--router: there is no router "rr"/,
    tries: /--router round-robin/,
  },
  {
    with: '--hardware H100 --cluster cluster.json',
    code: 'FLAG_CONFLICT',
    says: /--hardware and --cluster/,
  },
  {
    with: '--tp 2 --cluster cluster.json',
    code: 'FLAG_CONFLICT',
    says: /--tp and --cluster/,
    tries: /Leave --tp out/,
  },
  {
    with: '--cluster cluster.json',
    code: 'CLUSTER_BAD_FILE',
    says: /cluster\.json: nodes must be a list/,
  },
  {
    with: '--cluster torn-cluster.json',
    code: 'CLUSTER_BAD_FILE',
    says: /torn-cluster\.json:1:\d+: not valid JSON: /,
  },
  {
    with: '--cluster nope.json',
    code: 'CLUSTER_BAD_FILE',
    says: /nope\.json: there is no such file/,
  },
  {
    with: '--hardware H100 --instances 100000000',
    code: 'FLAG_BAD_VALUE',
    says: /--instances 100000000: 100000000 engines, and a run holds at most 4096/,
    tries: /--instances 4096/,
  },
  {
    with: '--hardware H100 --npu 100000000 --tp 2',
    code: 'FLAG_BAD_VALUE',
    says: /--npu 100000000: 50000000 engines, and a run holds at most 4096/,
    tries: /--npu 8192/,
  },
  {
    with: '--hardware H100 --prefill 2 --decode 1000000',
    code: 'FLAG_BAD_VALUE',
    says: /--decode 1000000: 1000002 engines, and a run holds at most 4096/,
    tries: /--decode 4094/,
  },
  {
    with: '--hardware H100 --prefill 1 --decode 1 --network-bandwidth 1e-300',
    code: 'FLAG_BAD_VALUE',
    says: /--network-bandwidth 1e-300: it must be at least 0\.001 GB\/s/,
    tries: /--network-bandwidth 50/,
  },
  {
    with: '--hardware H100 --cpu-offload-gb 4 --weight-bandwidth 1e-300',
    code: 'FLAG_BAD_VALUE',
    says: /--weight-bandwidth 1e-300: it must be at least 0\.001 GB\/s/,
  },
  {
    with: '--hardware H100 --expert-load power-law:1',
    code: 'FLAG_CONFLICT',
    says: /--expert-load: meta-llama\/Llama-3\.1-8B-Instruct has no experts/,
    tries: /Leave --expert-load out/,
  },
  {
    with: '--hardware H100 --weights blocks_a:cpu',
    code: 'FLAG_BAD_VALUE',
    says: /--weights 'blocks a:cpu': "a" is neither a range of blocks, as 0-3,8, nor one of attention, mlp, experts, embedding, lm_head/,
    tries: /--weights 'blocks 16-31:cpu'/,
  },
  {
    with: '--hardware H100 --weights blocks_30-20:cpu',
    code: 'FLAG_BAD_VALUE',
    says: /--weights: blocks must be numbers and ranges, as 0-3,8, but has "30-20"/,
    tries: /blocks 20-30/,
  },
]

const ofModel: readonly Wrong[] = [
  {
    with: '--hardware H100 --model llama-9',
    code: 'MODEL_UNKNOWN',
    says: /"llama-9" is not in the catalogue/,
    tries: /model list/,
  },
  {
    with: '--hardware H100 --model ./nope/config.json',
    code: 'MODEL_UNKNOWN',
    says: /nope\/config\.json: there is no such file/,
  },
  {
    with: '--hardware H100 --model config.json',
    code: 'MODEL_UNSUPPORTED',
    says: /config\.json.*MambaForCausalLM/,
  },
  {
    with: '--hardware H100 --model torn/config.json',
    code: 'MODEL_BAD_CONFIG',
    says: /torn\/config\.json:1/,
  },
  {
    with: '--hardware RTX3090 --model llama-3.1-405b',
    code: 'MODEL_TOO_LARGE',
    says: /405B does not fit: each accelerator needs \d.* GB .*may use 22\.\d+ GB/,
    tries: /--tp \d+ --link \S+\+infiniband:50 would fit: \d+ nodes of/,
  },
  {
    with: '--hardware T4,L4 --model meta-llama/Llama-3.1-70B',
    code: 'MODEL_TOO_LARGE',
    says: /^none of T4, L4 can run this: T4: .*70B does not fit.*; L4: .*70B does not fit/,
    tries: /^T4: --tp 16.*\n.*L4: --tp 8/s,
  },
  {
    with: '--hardware T4,L4 --model meta-llama/Llama-3.1-70B --find-rate --slo ttft=1s',
    code: 'MODEL_TOO_LARGE',
    says: /^none of T4, L4 can run this/,
  },
  {
    with: '--hardware RTX4090 --model Qwen/Qwen3-14B --npu 2 --instances 2',
    code: 'MODEL_TOO_LARGE',
    says: /Qwen3-14B does not fit/,
    tries: /^--tp 2 --npu 4 would fit\./,
  },
  {
    with: '--hardware RTX4090 --model Qwen/Qwen3-14B --npu 4 --tp 1',
    code: 'MODEL_TOO_LARGE',
    says: /Qwen3-14B does not fit/,
    tries: /^--tp 2 would fit\./,
  },
  {
    with: '--hardware RTX4090 --model Qwen/Qwen3-32B --npu 2',
    code: 'MODEL_TOO_LARGE',
    says: /Qwen3-32B does not fit/,
    tries: /^--tp 4 --npu 4 would fit\./,
  },
  {
    with: '--hardware RTX4090 --model Qwen/Qwen3-14B',
    code: 'MODEL_TOO_LARGE',
    says: /Qwen3-14B does not fit/,
    tries: /--tp 2 would fit\.\n--cpu-offload-gb 8 would fit, on a host that has 8 GiB for each/,
  },
  {
    with: '--hardware RTX4090 --model Qwen/Qwen3-14B --cpu-offload-gb 5',
    code: 'MODEL_TOO_LARGE',
    says: /Qwen3-14B does not fit/,
    tries: /--cpu-offload-gb 8 would fit/,
  },
  {
    with: '--hardware RTX4090 --model Qwen/Qwen3-32B --weights blocks_0-63:cpu --weight-prefetch 40',
    code: 'MODEL_TOO_LARGE',
    says: /\(weights 43\.09 GB, 39\.98 GB of them kept free for those fetched ahead\)/,
    tries: /^--tp \d would fit\.\n--weight-prefetch \d+ would fit\.\n--dtype/,
  },
  {
    with: '--hardware H100 --dtype fp5',
    code: 'FLAG_BAD_VALUE',
    says: /--dtype: "fp5" is not one of bf16/,
    tries: /--dtype fp8/,
  },
]

const ofEngine: readonly Wrong[] = [
  {
    with: '--hardware H100 --num-gpu-blocks-override 2147483648',
    code: 'FLAG_BAD_VALUE',
    says: /--num-gpu-blocks-override: 2147483648 KV blocks, and an engine has at most 2147483647/,
    tries: /--num-gpu-blocks-override 2147483647/,
  },
  {
    with: '--hardware H100 --num-gpu-blocks-override 9 --block-size 1099511627776',
    code: 'FLAG_BAD_VALUE',
    says: /--block-size 1099511627776: a block has at most 1048576 tokens/,
    tries: /--block-size 16/,
  },
  {
    with: '--hardware H100 --max-num-batched-tokens 0',
    code: 'FLAG_BAD_VALUE',
    says: /--max-num-batched-tokens: .*at least|equal to 1/,
  },
  {
    with: '--hardware H100 --max-num-seqs 1024 --max-num-batched-tokens 128',
    code: 'FLAG_CONFLICT',
    says: /--max-num-seqs 1024 is more than --max-num-batched-tokens 128: a step could not/,
    tries: /--max-num-seqs 128/,
  },
  {
    with: '--hardware RTX3090 --max-num-seqs 4096',
    code: 'FLAG_CONFLICT',
    says: /--max-num-seqs 4096 is more than max_num_batched_tokens 2048: a step could not/,
    tries: /--max-num-batched-tokens 4096/,
  },
  {
    with: '--hardware H100 --no-enable-chunked-prefill --max-num-batched-tokens 2048',
    code: 'FLAG_CONFLICT',
    says: /--no-enable-chunked-prefill needs --max-num-batched-tokens of at least max_model_len 131072, got 2048/,
    tries: /--max-model-len 2048/,
  },
  {
    with: '--hardware H100 --max-model-len 999999',
    code: 'FLAG_CONFLICT',
    says: /--max-model-len 999999 is more than the 131072 positions/,
    tries: /--max-model-len 131072/,
  },
  {
    with: '--hardware H100 --gpu-memory-utilization 0',
    code: 'FLAG_BAD_VALUE',
    says: /--gpu-memory-utilization 0: it must be a share of the memory, above 0 and at most 1/,
  },
  {
    with: '--hardware H100 --gpu-memory-utilization 1.5',
    code: 'FLAG_BAD_VALUE',
    says: /--gpu-memory-utilization 1\.5/,
  },
  {
    with: '--hardware H100 --gpu-memory-utilization abc',
    code: 'FLAG_BAD_VALUE',
    says: /--gpu-memory-utilization abc/,
    tries: /0\.9/,
  },
  {
    with: '--hardware H100 --gpu-memory-utilization 0.1',
    code: 'MODEL_TOO_LARGE',
    says: /does not fit: .* may use 8\.50 GB/,
  },
  {
    with: '--hardware H100 --block-size 0',
    code: 'FLAG_BAD_VALUE',
    says: /--block-size: .*equal to 1.*0/,
  },
  {
    with: '--hardware H100 --block-size 17',
    code: 'FLAG_BAD_VALUE',
    says: /--block-size 17: vLLM takes multiples of 16 only/,
    tries: /--block-size 16/,
  },
  {
    with: '--hardware H100 --num-gpu-blocks-override 0',
    code: 'FLAG_BAD_VALUE',
    says: /--num-gpu-blocks-override/,
  },
  {
    with: '--hardware H100 --long-prefill-token-threshold -1',
    code: 'FLAG_BAD_VALUE',
    says: /--long-prefill-token-threshold: .*equal to 0.*-1/,
  },
  {
    with: '--hardware H100 --policy sjff',
    code: 'FLAG_BAD_VALUE',
    says: /--policy: there is no policy "sjff"; known are fcfs, priority, sjf/,
  },
  {
    with: '--hardware H100 --policy ./nope.mjs',
    code: 'POLICY_BAD_MODULE',
    says: /--policy \.\/nope\.mjs: there is no such file\.$/,
  },
  {
    with: '--hardware H100 --policy keyless.mjs',
    code: 'POLICY_BAD_MODULE',
    says: /keyless\.mjs: it exports no function "key"/,
    tries: /export default/,
  },
  {
    with: '--hardware H100 --policy throws.mjs',
    code: 'POLICY_BAD_MODULE',
    says: /throws\.mjs: it could not be loaded: not today/,
  },
  {
    with: '--hardware H100 --policy words.mjs',
    code: 'POLICY_BAD_MODULE',
    says: /words\.mjs: key\(\) must return a number, it returned first/,
  },
  {
    with: '--hardware H100 --enforce-eager --compat llmservingsim',
    code: 'FLAG_CONFLICT',
    says: /--enforce-eager and --compat llmservingsim/,
    tries: /Leave one of the two out/,
  },
  {
    with: '--hardware H100 --async-scheduling --compat llmservingsim',
    code: 'FLAG_CONFLICT',
    says: /--async-scheduling and --compat llmservingsim/,
  },
  {
    with: '--hardware H100 --compat vidur',
    code: 'FLAG_BAD_VALUE',
    says: /--compat: "vidur" is not one of llmservingsim/,
  },
  {
    with: '--hardware H100 --latency fast',
    code: 'FLAG_BAD_VALUE',
    says: /--latency: "fast" is not one of auto, profile/,
  },
  {
    with: '--hardware H100 --latency profile',
    code: 'LATENCY_UNAVAILABLE',
    says: /--latency profile needs --profiles DIR/,
    tries: /--latency roofline/,
  },
  {
    with: '--hardware H100 --latency profile --profiles none',
    code: 'LATENCY_UNAVAILABLE',
    says: /there is no bundle .*none\/H100\/meta-llama\/Llama-3\.1-8B-Instruct\/bf16\/tp1/,
  },
  {
    with: '--hardware H100 --profiles nope',
    code: 'PROFILE_BAD_FILE',
    says: /--profiles nope: there is no such folder/,
  },
  {with: '--hardware H100 --seed -1', code: 'FLAG_BAD_VALUE', says: /--seed: .*equal to 0.*-1/},
]

const ofOutput: readonly Wrong[] = [
  {
    with: '--hardware H100 --concurrency 0',
    code: 'FLAG_BAD_VALUE',
    says: /--concurrency: .*equal to 1.*0/,
  },
  {
    with: '--hardware H100 --slo fast',
    code: 'FLAG_BAD_VALUE',
    says: /--slo: "fast" is not METRIC=DURATION/,
    tries: /--slo ttft=500ms/,
  },
  {
    with: '--hardware H100 --slo ttft=500',
    code: 'FLAG_BAD_VALUE',
    says: /--slo: "ttft=500" needs a time such as 500ms/,
  },
  {
    with: '--hardware H100 --slo p99-e2e=10s',
    code: 'FLAG_BAD_VALUE',
    says: /--slo: "p99-e2e=10s" names a percentile/,
    tries: /^--slo e2e=10s \(the p99 keeps it where 99 %/,
  },
  {
    with: '--hardware H100 --slo speed=1s',
    code: 'FLAG_BAD_VALUE',
    says: /--slo: "speed=1s" does not name a metric; there are ttft/,
  },
  {
    with: '--hardware H100 --warmup soon',
    code: 'FLAG_BAD_VALUE',
    says: /--warmup: "soon" is neither a time/,
    tries: /--warmup 60s/,
  },
  {
    with: '--hardware H100,A100 --steps s.csv',
    code: 'FLAG_CONFLICT',
    says: /--steps with several devices/,
  },
  {
    with: '--hardware H100,A100 --itl i.csv',
    code: 'FLAG_CONFLICT',
    says: /--itl with several devices/,
  },
  {
    with: '--hardware H100 --itl none',
    code: 'OUTPUT_NOT_WRITABLE',
    says: /none cannot be written: it is a folder/,
  },
  {
    with: '--hardware H100 --steps good.csv/s.csv',
    code: 'OUTPUT_NOT_WRITABLE',
    says: /s\.csv cannot be written/,
  },
  {
    with: '--hardware H100 --out good.csv',
    code: 'OUTPUT_NOT_WRITABLE',
    says: /good\.csv cannot be written: a file is in its way/,
  },
  {
    with: '--hardware H100 --out /proc/x/y',
    code: 'OUTPUT_NOT_WRITABLE',
    says: /\/proc\/x\/y cannot be written/,
  },
  {
    argv: 'listen --port 0 --trace /proc/x/y.csv',
    code: 'OUTPUT_NOT_WRITABLE',
    says: /\/proc\/x\/y\.csv cannot be written: nothing can be made there/,
  },
  {
    argv: 'trace generate --out none/g.csv --requests 1000000000000 --rate 2',
    code: 'FLAG_BAD_VALUE',
    says: /--requests 1000000000000: at most 50000000 are made at once/,
    tries: /--seed/,
  },
  {
    argv: 'trace generate --out none/g.csv --requests 5 --rate 1e-300',
    code: 'FLAG_BAD_VALUE',
    says: /--rate 1e-300: 5 requests would take more than 100000000000 s/,
  },
  {
    argv: 'trace generate --out none/g.csv --requests 5 --rate 2 --input lognormal:500',
    code: 'FLAG_BAD_VALUE',
    says: /--input lognormal:500: lognormal takes mean=, p99=, cv=, min= and max=; it can be/,
  },
  {
    argv: 'trace generate --out none/g.csv --requests 5 --rate 2 --input fixed:500,600',
    code: 'FLAG_BAD_VALUE',
    says: /--input fixed:500,600: fixed takes 1 number;/,
  },
  {
    argv: 'model show',
    code: 'ARGUMENT_MISSING',
    says: /model show needs MODEL \(id of Hugging Face, or path of .* model file\)\.$/,
  },
  {
    argv: 'simulate https://example.org/azure.csv --hardware H100',
    code: 'TRACE_NOT_FOUND',
    says: /azure\.csv: a trace is read from files, not from the network/,
    tries: /curl -LO https:\/\/example\.org\/azure\.csv/,
  },
  {
    with: '--hardware H100 --rate 1e-300',
    code: 'FLAG_BAD_VALUE',
    says: /--rate 1e-300: the last request would come more than 100000000000 s after the start/,
    tries: /requests per second/,
  },
  {
    with: '--hardware H100 --time-scale 1e300',
    code: 'FLAG_BAD_VALUE',
    says: /--time-scale 1e\+300: the last request would come more than/,
  },
  {
    with: '--hardware H100 --max-num-batched-tokens 1000000000',
    code: 'MODEL_TOO_LARGE',
    says: /does not fit/,
    tries: /^--max-num-batched-tokens 8192 would fit\.$/,
  },
  {
    with: '--hardware H100 --block-size 16000000',
    code: 'MODEL_TOO_LARGE',
    says: /does not fit/,
    tries: /--block-size 16 would fit\./,
  },
  {
    argv: 'listen --port 0 --hardware H100 --trace none',
    code: 'OUTPUT_NOT_WRITABLE',
    says: /none is a folder: a recording is a file\.$/,
    tries: /--trace .*none\/trace\.csv/,
  },
  {
    argv: 'listen --port 0 --hardware H100 --fail 2',
    code: 'FLAG_BAD_VALUE',
    says: /--fail 2: it takes rate= and type=, not "2"\.$/,
    tries: /rate=1%,type=429/,
  },
  {
    argv: 'listen --port 0 --hardware H100 --host 192.0.2.1',
    code: 'PORT_UNAVAILABLE',
    says: /--host 192\.0\.2\.1 --port 0: cannot listen: this machine has no such address/,
    tries: /^--host 127\.0\.0\.1, for clients on this machine\n--host 0\.0\.0\.0, for all/,
  },
  {
    argv: 'listen --port 0 --hardware H100 --host=',
    code: 'PORT_UNAVAILABLE',
    says: /--host "" --port 0: cannot listen: this is no address to listen on/,
    tries: /--host 127\.0\.0\.1/,
  },
  {
    argv: 'listen --port 0 --hardware H100 --answer nope.jsonl',
    code: 'FLAG_BAD_VALUE',
    says: /--answer nope\.jsonl: there is no such file\.$/,
    tries: /--answer filler/,
  },
  {
    argv: 'listen --port 0 --hardware H100,A100',
    code: 'FLAG_BAD_VALUE',
    says: /--hardware H100,A100: this command takes one accelerator; simulate compares several/,
    tries: /--hardware H100\n.*--cluster FILE/,
  },
  {
    with: '--hardware H100 --expert-load nope.txt --model Qwen/Qwen3-30B-A3B',
    code: 'FLAG_BAD_VALUE',
    says: /--expert-load.*nope\.txt/,
  },
  {
    with: '--hardware H100 --out there --no-save',
    code: 'FLAG_CONFLICT',
    says: /--out and --no-save/,
  },
  {argv: 'report nope --runs-dir none', code: 'RUN_NOT_FOUND', says: /There is no run "nope"/},
  {
    argv: 'report --runs-dir none',
    code: 'RUN_NOT_FOUND',
    says: /There are no runs in/,
    tries: /llmsim simulate/,
  },
  {argv: 'report good.csv', code: 'RUN_NOT_FOUND', says: /good\.csv is a file; a run is a folder/},
]

const ofTyping: readonly Wrong[] = [
  {
    argv: 'simulate',
    code: 'ARGUMENT_MISSING',
    says: /llmsim simulate needs TRACE \(file or folder; several are read as one\)\.$/,
  },
  {
    with: '--hardwre H100',
    code: 'FLAG_UNKNOWN',
    says: /llmsim simulate has no flag --hardwre/,
    tries: /--hardware/,
  },
  {
    with: '--hardware H100 --max-num-sequences 8',
    code: 'FLAG_UNKNOWN',
    says: /no flag --max-num-sequences/,
    tries: /--max-num-seqs/,
  },
  {
    with: '--hardware H100 --tensor-parallel-size 4',
    code: 'FLAG_UNKNOWN',
    says: /no flag --tensor-parallel-size/,
    tries: /^--tp\n/,
  },
  {
    with: '--gpu=NVIDIA-H100-80GB-HBM3',
    code: 'FLAG_UNKNOWN',
    says: /no flag --gpu/,
    tries: /^--hardware\n/,
  },
  {
    with: '--hardware NVIDIA-A100-SXM4-80GB',
    code: 'HARDWARE_UNKNOWN',
    says: /no accelerator "NVIDIA-A100-SXM4-80GB"/,
    tries: /^A100/,
  },
  {with: '--hardware', code: 'FLAG_BAD_VALUE', says: /--hardware expects a value/},
  {
    argv: 'simulat good.csv --hardware H100',
    code: 'COMMAND_UNKNOWN',
    says: /no command "simulat"/,
    tries: /llmsim simulate .*good\.csv --hardware H100/,
  },
  {
    argv: 'trace ifno good.csv',
    code: 'COMMAND_UNKNOWN',
    says: /no command "trace ifno"/,
    tries: /llmsim trace info/,
  },
  {
    argv: 'simulate hangup.csv --hardware H100',
    code: 'TRACE_BAD_VALUE',
    says: /hangup\.csv:3:3: cancelled_at is "1\.999999999": a client cannot hang up before arrived_at/,
    tries: /leave it empty/,
  },
  {
    argv: 'simulate good.csv --cluster role.yaml',
    code: 'CLUSTER_BAD_FILE',
    says: /role\.yaml:3:11: instances\[0\]\.role must be one of prefill, decode\.$/,
    tries: /^role: prefill$/,
  },
  {
    argv: 'simulate good.csv --cluster two.yaml',
    code: 'CLUSTER_BAD_FILE',
    says: /two\.yaml:2:12: instances must be a list\.$/,
    tries: /^instances: \[\{hardware: H100, count: 2\}\]$/,
  },
  {
    with: '--hardware H100 --gpu-memory-utilization 0.9GB',
    code: 'FLAG_BAD_VALUE',
    says: /0\.9GB: it must be a share of the memory, above 0 and at most 1/,
    tries: /--gpu-memory-utilization 0\.9$/,
  },
  {
    with: '--hardware H100 --rate 0',
    code: 'FLAG_BAD_VALUE',
    says: /--rate: 0 is not a number above 0/,
    tries: /^--rate 4, or leave it out$/,
  },
  {
    with: '--hardware H100 --limit 0',
    code: 'FLAG_BAD_VALUE',
    says: /--limit: 0 is not a number above 0/,
    tries: /^--limit 1000, or leave it out$/,
  },
  {
    with: '--hardware H100 --columns input=inptu_tokens',
    code: 'TRACE_MISSING_COLUMN',
    says: /takes input_tokens from "inptu_tokens"/,
    tries: /^--columns input=input_tokens$/,
  },
  {
    with: '--hardware H100 --columns input=foo',
    code: 'TRACE_MISSING_COLUMN',
    says: /takes input_tokens from "foo"/,
    tries: /^leave input out of --columns: input_tokens is known by its name$/,
  },
  {
    with: '--hardware H100 --columns inptu=input_tokens',
    code: 'FLAG_BAD_VALUE',
    says: /no column "inptu" to map/,
    tries: /^--columns input=input_tokens$/,
  },
  {
    with: '--hardware H100 --engine sglang',
    code: 'ENGINE_UNKNOWN',
    says: /no profile "sglang"/,
    tries: /^--engine vllm-0\.19$/,
  },
  {
    with: '--hardware H100 --concurrency 3 --rate 2',
    code: 'FLAG_CONFLICT',
    says: /--concurrency and --rate: clients of a closed loop/,
    tries: /Leave --rate out/,
  },
  {
    with: '--hardware H100 --concurrency 3 --time-scale 2',
    code: 'FLAG_CONFLICT',
    says: /--concurrency and --time-scale/,
    tries: /Leave --time-scale out/,
  },
  {
    with: '--hardware H100 --router-view-age 5',
    code: 'FLAG_CONFLICT',
    says: /--router-view-age: there is one engine to choose from/,
    tries: /--instances 2/,
  },
  {
    with: '--hardware H100 --prefill 1 --decode 1 --router-view-age 5',
    code: 'FLAG_CONFLICT',
    says: /--router-view-age: there is one engine/,
    tries: /leave --router-view-age out/,
  },
  {
    argv: 'trace generate --out new.csv --prefix-skew 2',
    code: 'FLAG_CONFLICT',
    says: /--prefix-skew 2 needs --prefix-groups 2 or more/,
    tries: /^--prefix-groups 8 --prefix-tokens 1024 --prefix-skew 2$/,
  },
  {
    argv: 'hardware list H100',
    code: 'ARGUMENT_UNEXPECTED',
    says: /^llmsim hardware list takes no argument H100\.$/,
    tries: /^llmsim hardware show H100\nllmsim hardware list$/,
  },
  {
    argv: 'hardware show H101',
    code: 'HARDWARE_UNKNOWN',
    says: /^There is no accelerator "H101" in the catalogue;/,
    tries: /^H100$/m,
  },
  {
    with: '--hardware H100 --enable-prefix-caching false',
    code: 'FLAG_BAD_VALUE',
    says: /^--enable-prefix-caching false: the flag takes no value\.$/,
    tries: /^--no-enable-prefix-caching$/,
  },
  {
    with: '--hardware H100 --enable-prefix-caching=false',
    code: 'FLAG_BAD_VALUE',
    says: /^--enable-prefix-caching false: the flag takes no value\.$/,
    tries: /^--no-enable-prefix-caching$/,
  },
  {
    with: '--hardware H100 --no-enable-prefix-caching false',
    code: 'FLAG_BAD_VALUE',
    says: /^--no-enable-prefix-caching false: the flag takes no value\.$/,
    tries: /^--enable-prefix-caching$/,
  },
  {
    with: '--hardware H100 --check false',
    code: 'FLAG_BAD_VALUE',
    says: /^--check false: the flag takes no value\.$/,
    tries: /^Leave --check out\.$/,
  },
  {
    argv: 'model list foo bar --json',
    code: 'ARGUMENT_UNEXPECTED',
    says: /^llmsim model list takes no arguments foo, bar\.$/,
    tries: /^llmsim model show foo\nllmsim model list$/,
  },
]

const groups = {
  traces,
  'reading a trace': ofTrace,
  'hardware and layout': ofHardware,
  models: ofModel,
  'the engine': ofEngine,
  output: ofOutput,
  typing: ofTyping,
}

describe('wrong input', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llmsim-wrong-'))
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(folder, name, '..'), {recursive: true})
      await writeFile(join(folder, name), content)
    }
  })
  after(() => rm(folder, {recursive: true, force: true}))

  const isFile = (word: string): boolean =>
    word === 'none' || word === 'goood.csv' || word.split('/')[0]! in files || word in files
  const argvOf = (row: Wrong): string[] =>
    (row.argv ?? `simulate good.csv ${row.with}`)
      .split(' ')
      .filter(Boolean)
      .map((word) => (isFile(word) ? join(folder, word) : word.replace('blocks_', 'blocks ')))

  for (const [group, rows] of Object.entries(groups))
    describe(group, () => {
      for (const row of rows)
        it(row.argv ?? `simulate good.csv ${row.with}`, async () => {
          const argv = argvOf(row)
          const {stdout, stderr, error, exitCode} = await llmsim(...argv)
          expect(error, stdout).instanceOf(Problem)
          expect({code: error?.code, exitCode}).deep.equal({code: row.code, exitCode: 2})
          expect(error?.message)
            .match(row.says)
            .and.match(/^[^\n]+\.$/)
          expect(error?.message, 'a file of llmsim itself').not.include('/dist/')
          expect(error?.suggestions.join('\n')).match(row.tries ?? /^/)
          expect({stdout, stderr}).deep.equal({stdout: '', stderr: ''})
        })
    })

  it('is told apart in at least 80 ways', () => {
    expect(Object.values(groups).flat().length).greaterThan(80)
  })

  it('is a line, a code and suggestions on stderr; under --json an object on stdout', async () => {
    const argv = ['simulate', 'good.csv', '--hardware', 'H101']
    const plain = await spawnCliIn({cwd: folder}, ...argv)
    expect({code: plain.code, stdout: plain.stdout}).deep.equal({code: 2, stdout: ''})
    expect(plain.stderr).match(
      /^Error: --hardware: .*\.\nCode: HARDWARE_UNKNOWN\nTry this: H100\n$/,
    )
    const json = await spawnCliIn({cwd: folder}, ...argv, '--json')
    expect({code: json.code, stderr: json.stderr}).deep.equal({code: 2, stderr: ''})
    const {error} = JSON.parse(json.stdout)
    expect(plain.stderr).include(error.message)
    expect(error).deep.include({code: 'HARDWARE_UNKNOWN', suggestions: ['H100']})
  })

  it('leaves nothing behind: no run, no folder of runs', async () => {
    for (const argv of [
      ['simulate', 'negative.csv', '--hardware', 'H100'],
      ['simulate', 'good.csv', '--hardware', 'H100,H102'],
    ])
      expect((await spawnCliIn({cwd: folder}, ...argv)).code).equal(2)
    expect(await readdir(folder)).not.include('.llmsim')
  })
})

describe('unusual input that is right', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llmsim-right-'))
  })
  after(() => rm(folder, {recursive: true, force: true}))

  const simulate = async (files: Readonly<Record<string, string>>, ...argv: string[]) => {
    const inside = await mkdtemp(join(folder, 'case-'))
    for (const [name, text] of Object.entries(files)) await writeFile(join(inside, name), text)
    const paths = Object.keys(files).map((name) => join(inside, name))
    const {stdout, error} = await llmsim(
      ...['simulate', ...(argv.includes('FOLDER') ? [inside] : paths), '--hardware', 'H100'],
      ...['--no-save', '--check', '--json'],
      ...argv.filter((word) => word !== 'FOLDER'),
    )
    expect(error).equal(undefined)
    return JSON.parse(stdout)
  }
  const rows = '0,10,5\n1,20,5\n2,30,5\n'

  const same: Record<string, string> = {
    'CRLF line ends': `${head}${rows}`.replaceAll('\n', '\r\n'),
    'a byte order mark': `\ufeff${head}${rows}`,
    'quoted cells': `"arrived_at","input_tokens","output_tokens"\n"0","10","5"\n"1","20","5"\n"2","30","5"\n`,
    'columns that nobody knows': `mood,${head}good,0,10,5\n"bad, or worse",1,20,5\n,2,30,5\n`,
    'no line end at the end': `${head}${rows}`.trimEnd(),
  }
  for (const [what, text] of Object.entries(same))
    it(what, async () => {
      const {summary, config} = await simulate({'t.csv': text})
      const plain = await simulate({'t.csv': `${head}${rows}`})
      expect(summary).deep.equal(plain.summary)
      const told = what.startsWith('columns')
        ? ['columns that change nothing ride along: mood.']
        : []
      expect(config.notes).deep.equal(told)
    })

  it('rows out of order: sorted, with one note that reaches the user', async () => {
    const text = `${head}2,30,5\n0,10,5\n1,20,5\n`
    const {summary, config} = await simulate({'t.csv': text})
    const plain = await simulate({'t.csv': `${head}${rows}`})
    expect(summary).deep.equal(plain.summary)
    expect(config.notes).length(1)
    expect(config.notes[0]).match(/sorted/)
    await writeFile(join(folder, 'shuffled.csv'), text)
    for (const devices of ['H100', 'H100,A100']) {
      const argv = ['simulate', join(folder, 'shuffled.csv'), '--no-save', '--hardware', devices]
      const {stdout} = await llmsim(...argv)
      expect(stdout.match(/^note: .*sorted/gm), devices).length(1)
    }
  })

  it('several files, and a folder, as one trace', async () => {
    const files = {'a.csv': `${head}0,10,5\n1,20,5\n`, 'b.csv': `${head}2,30,5\n`}
    const plain = await simulate({'t.csv': `${head}${rows}`})
    expect((await simulate(files)).summary).deep.equal(plain.summary)
    expect((await simulate(files, 'FOLDER')).summary).deep.equal(plain.summary)
  })

  it('columns that a policy or router goes by, and that are not there: notes', async () => {
    const notesOf = async (text: string, ...flags: string[]) =>
      (await simulate({'t.csv': text}, ...flags)).config.notes
    const plain = `${head}${rows}`
    const prefix = 'the trace does not say which prefixes are shared, so it goes by load alone.'
    expect(await notesOf(plain, '--policy', 'priority')).deep.equal([
      'policy priority: the trace has no column priority, so all requests are alike.',
    ])
    const two = ['--instances', '2', '--router']
    expect(await notesOf(plain, ...two, 'prefix-cache')).deep.equal([
      `router prefix-cache: ${prefix}`,
    ])
    expect(await notesOf(plain, ...two, 'session-sticky')).deep.equal([
      'router session-sticky: the trace has no sessions, so it goes by load alone.',
    ])
    // One engine is not chosen.
    expect(await notesOf(plain, '--router', 'prefix-cache')).deep.equal([])
    const full =
      'arrived_at,input_tokens,output_tokens,priority,session_id,prefix_group,prefix_tokens\n0,64,5,1,s,g,32\n1,64,5,1,s,g,32\n'
    for (const router of ['prefix-cache', 'prefix-affinity', 'session-sticky'])
      expect(await notesOf(full, '--policy', 'priority', ...two, router), router).deep.equal([])
  })

  it('models that nobody serves: a note, in text and JSON', async () => {
    const text = `model,${head}meta-llama/Llama-3.1-8B-Instruct,0,10,5\n"Qwen/Qwen3-32B",1,20,5\n,2,30,5\n`
    const {config} = await simulate({'t.csv': text})
    expect(config.notes).deep.equal([
      'the trace asks for Qwen/Qwen3-32B, and meta-llama/Llama-3.1-8B-Instruct serves it; --model names another.',
    ])
    const served = `model,${head}llama-3.1-8b-instruct,0,10,5\n,1,20,5\n,2,30,5\n`
    expect((await simulate({'t.csv': served})).config.notes).deep.equal([])
    await writeFile(join(folder, 'asks.csv'), text)
    const mixed = 'hardware: H100\ninstances: [{}, {model: Qwen/Qwen3-32B}]\n'
    await writeFile(join(folder, 'mixed.yaml'), mixed)
    const {stdout} = await llmsim(
      ...[
        'simulate',
        join(folder, 'asks.csv'),
        '--cluster',
        join(folder, 'mixed.yaml'),
        '--no-save',
      ],
    )
    expect(stdout.replaceAll(/\s+/g, ' ')).include(
      'note: instances serve meta-llama/Llama-3.1-8B-Instruct and Qwen/Qwen3-32B, and routers send any request to any of them, whatever the column model says',
    )
  })

  it('sessions: a turn comes its think time after the one before has ended', async () => {
    const text = `session_id,turn,think_time_s,${head}s,0,,0,10,5\ns,1,3,,20,5\n`
    const {summary} = await simulate({'t.csv': text})
    expect(summary.requests.completed).equal(2)
    expect(summary.duration_s).greaterThan(3).lessThan(4)
  })

  it('every flag that stands before the trace', async () => {
    const path = `${root}traces/chat.csv`
    const flags = ['--hardware', 'H100', '--limit', '9', '--no-save', '--json']
    const before = await llmsim('simulate', ...flags, path)
    const after = await llmsim('simulate', path, ...flags)
    expect(JSON.parse(before.stdout).summary).deep.equal(JSON.parse(after.stdout).summary)
  })
})
