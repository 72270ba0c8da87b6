import {strict as assert} from 'node:assert'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import fc from 'fast-check'
import {Problem, type ProblemCode} from '#llmsim/errors.js'
import {nsOfMilliseconds, nsOfSeconds, secondsText} from '#llmsim/report/decimals.js'
import {ItlFile, RequestsFile, StepsFile} from '#llmsim/report/request-files.js'
import {
  createRunFolder,
  listRuns,
  newestRun,
  RunWriter,
  readRun,
  slugOf,
  writeRun,
} from '#llmsim/report/run-store.js'
import {summarise} from '#llmsim/report/summary.js'
import {status} from '#llmsim/stats/outcomes.js'
import {buildRun, sixRequests} from './build-run.js'

const problem = (code: ProblemCode, part: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Problem, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, part)
  return true
}

const startedAt = new Date(Date.UTC(2025, 0, 31, 23, 59, 58, 123))
const config = {model: 'm', hardware: 'H100'}

describe('runs on disk', () => {
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'llmsim-runs-'))
  })
  afterEach(() => {
    rmSync(root, {recursive: true})
  })

  const store = (about: readonly string[] = ['chat.csv', 'H100'], run = buildRun(sixRequests)) => {
    const folder = createRunFolder({root, startedAt, about})
    const record = {llmsim: '1.2.3', command: 'llmsim simulate', config, summary: summarise(run)}
    writeRun(folder, record, run)
    return folder
  }
  const text = (folder: string, name: string): string => readFileSync(join(folder, name), 'utf8')

  describe('wrong input', () => {
    const spoil = (name: string, change: (text: string) => string): string => {
      const folder = store()
      const path = join(folder, name)
      writeFileSync(path, change(readFileSync(path, 'utf8')))
      return folder
    }

    for (const [what, change, message] of [
      [
        'broken JSON',
        (t: string) => t.replace('"config": {', '"config": '),
        /run\.json:\d+: this is not JSON/,
      ],
      ['JSON that ends early', (t: string) => t.slice(0, 200), /run\.json:\d+: this is not JSON/],
      ['a list', () => '[]', /run\.json:1: a run is a JSON object/],
      ['no config', () => '{"llmsim": "1"}', /config \(an object\) is missing/],
      ['no summary', () => '{"llmsim": "1", "config": {}}', /summary \(an object\) is missing/],
      [
        'half a summary',
        () => '{"llmsim": "1", "config": {}, "summary": {"requests": {}}}',
        /summary\.throughput/,
      ],
    ] as const) {
      it(`run.json: ${what}`, () => {
        const folder = spoil('run.json', change)
        assert.throws(() => readRun(folder), problem('RUN_BAD_FILE', message))
      })
    }

    const row = (n: number, change: (cells: string[]) => void) => (t: string) => {
      const lines = t.split('\n')
      const cells = lines[n - 1]!.split(',')
      change(cells)
      lines[n - 1] = cells.join(',')
      return lines.join('\n')
    }
    const set = (n: number, cell: number, value: string) =>
      row(n, (cells) => {
        cells[cell] = value
      })
    for (const [what, change, message] of [
      [
        'other columns',
        row(1, (c) => c.reverse()),
        /requests\.csv:1: the columns must be request_id,/,
      ],
      [
        'a missing cell',
        row(3, (c) => c.pop()),
        /requests\.csv:3: the row has 12 cells, the header has 13/,
      ],
      [
        'a float count',
        set(4, 3, '1.5'),
        /requests\.csv:4: input_tokens "1\.5" is not a whole number/,
      ],
      ['a negative count', set(4, 11, '-1'), /:4: preemptions "-1" is not a whole number/],
      ['a time in words', set(2, 2, 'noon'), /:2: arrived_at "noon" is not a number/],
      ['finer than ns', set(2, 7, '1.0000001'), /:2: ttft_ms "1\.0000001" is not .* 6 decimals/],
      ['an unknown status', set(7, 12, 'done'), /:7: status "done" is none of pending, completed/],
      ['completed without an end', set(2, 10, ''), /:2: a completed request needs/],
      ['an open quote', set(5, 0, '"c'), /requests\.csv.*[Qq]uote/],
      ['an empty file', () => '', /requests\.csv: the file is empty/],
    ] as const) {
      it(`requests.csv: ${what}`, () => {
        const run = readRun(spoil('requests.csv', change))
        assert.throws(() => run.requests(), problem('RUN_BAD_FILE', message))
      })
    }

    it('requests.csv: missing', () => {
      const folder = store()
      rmSync(join(folder, 'requests.csv'))
      assert.throws(
        () => readRun(folder).requests(),
        problem('RUN_BAD_FILE', /has no requests\.csv/),
      )
    })

    it('labels.csv: of another run', () => {
      const folder = spoil('labels.csv', (t) => t.replace('\nc,', '\nq,'))
      assert.throws(
        () => readRun(folder).requests(),
        problem('RUN_BAD_FILE', /labels\.csv:4: request_id "q"/),
      )
    })

    it('no such run, no runs at all, a name that fits two', () => {
      assert.throws(() => newestRun(root), problem('RUN_NOT_FOUND', /There are no runs in/))
      store(['chat.csv', 'H100'])
      store(['chat.csv', 'A100'])
      assert.throws(() => readRun('b200', root), problem('RUN_NOT_FOUND', /no run "b200"/))
      assert.throws(
        () => readRun('chat', root),
        (error) => {
          assert.ok(error instanceof Problem)
          assert.equal(error.suggestions.length, 2)
          return problem('RUN_NOT_FOUND', /names of 2 runs/)(error)
        },
      )
      assert.throws(() => readRun(root), problem('RUN_NOT_FOUND', /holds no run\.json/))
      const csv = join(store(), 'requests.csv')
      assert.throws(() => readRun(csv), problem('RUN_NOT_FOUND', /is a file/))
    })

    it('a place that cannot be written', () => {
      const file = join(root, 'file')
      writeFileSync(file, '')
      const out = join(file, 'run')
      assert.throws(
        () => createRunFolder({out, startedAt, about: []}),
        problem('OUTPUT_NOT_WRITABLE', /a part of the path is a file/),
      )
      assert.throws(
        () => createRunFolder({root: file, startedAt, about: []}),
        problem('OUTPUT_NOT_WRITABLE', /a file is in its way/),
      )
      mkdirSync(join(root, 'itl.csv'))
      assert.throws(
        () => new ItlFile(join(root, 'itl.csv')),
        problem('OUTPUT_NOT_WRITABLE', /it is a folder/),
      )
      assert.throws(
        () => new StepsFile(join(file, 'steps.csv')),
        problem('OUTPUT_NOT_WRITABLE', /steps\.csv cannot be written/),
      )
    })
  })

  it('are named by time, trace and hardware, and never overwrite each other', () => {
    const names = [store(), store(), store(['traces/My Chat (1).csv.gz', 'RTX 3090'])]
    assert.deepEqual(
      names.map((name) => name.slice(root.length + 1)),
      [
        '20250131T235958Z-chat-h100',
        '20250131T235958Z-chat-h100-2',
        '20250131T235958Z-my-chat-1-rtx-3090',
      ],
    )
    assert.equal(slugOf(['', '…']), 'run')
    assert.equal(slugOf(['a'.repeat(100)]).length, 60)
  })

  it('go where --out says', () => {
    const out = join(root, 'deep', 'er')
    assert.equal(createRunFolder({root, out, startedAt, about: ['x']}), out)
    assert.equal(createRunFolder({root, out, startedAt, about: ['x']}), out, 'again is no fault')
  })

  it('leave no file of an older run in the same folder, and nothing else out', () => {
    const folder = store()
    for (const name of ['labels.csv', 'instances.csv', 'power.csv', 'timeseries.csv', 'mine.csv'])
      writeFileSync(join(folder, name), 'old')
    new RunWriter(folder).close()
    const left = readdirSync(folder)
    assert.ok(left.includes('mine.csv'))
    assert.deepEqual(
      left.filter((name) => name !== 'mine.csv' && text(folder, name) === 'old'),
      [],
    )
    assert.ok(!left.includes('labels.csv') && !left.includes('run.json'))
    // A folder that holds no run is somebody's own.
    writeFileSync(join(root, 'power.csv'), 'mine')
    new RunWriter(root).close()
    assert.equal(text(root, 'power.csv'), 'mine')
  })

  it('are found by path, by run.json, by name and by part of a name; the newest by itself', () => {
    const first = store()
    for (let n = 2; n <= 11; n++) store()
    mkdirSync(join(root, '20990101T000000Z-broken-off'))
    assert.equal(listRuns(root).length, 11)
    assert.equal(newestRun(root).name, '20250131T235958Z-chat-h100-11')
    for (const name of [first, join(first, 'run.json')]) assert.equal(readRun(name).folder, first)
    assert.equal(readRun('20250131T235958Z-chat-h100', root).folder, first)
    assert.equal(readRun('h100-7', root).name, '20250131T235958Z-chat-h100-7')
  })

  it('of one second are in the order in which they were written', () => {
    const [later, earlier] = [store(['chat.csv', 'A100']), store(['chat.csv', 'RTX3090'])]
    utimesSync(join(earlier, 'run.json'), 100, 100)
    utimesSync(join(later, 'run.json'), 200, 200)
    assert.equal(newestRun(root).folder, later)
    utimesSync(join(earlier, 'run.json'), 300, 300)
    assert.equal(newestRun(root).folder, earlier)
  })

  it('write requests.csv with exact whole nanoseconds', () => {
    const lines = text(store(), 'requests.csv').trimEnd().split('\n')
    assert.deepEqual(lines, [
      'request_id,instance,arrived_at,input_tokens,output_tokens,cached_tokens,queue_ms,ttft_ms,tpot_ms,e2e_ms,finished_at,preemptions,status',
      'a,0,1.000000000,10,11,0,10.000000,100.000000,10.000000,200.000000,1.200000000,0,completed',
      'b,0,1.500000000,10,11,0,0.000000,200.000000,60.000000,800.000000,2.300000000,0,completed',
      'c,0,2.000000000,10,11,0,500.000000,600.000000,20.000000,800.000000,2.800000000,2,completed',
      'd,0,2.500000000,10,1,0,20.000000,100.000000,,100.000000,2.600000000,0,completed',
      'e,0,3.000000000,10,41,0,100.000000,400.000000,40.000000,2000.000000,5.000000000,0,completed',
      'f,,3.500000000,9999,50,0,,,,,,0,rejected',
    ])
  })

  it('round TPOT down to whole ns and write what a cancelled request got', () => {
    const run = buildRun([
      {arrived: 0, scheduled: 0, first: 0.000001, finished: 0.000012, output: 4},
      {arrived: 1, scheduled: 2, first: 3, finished: 4.5, output: 9, produced: 2, status: 3},
    ])
    const path = join(root, 'rounded.csv')
    const file = new RequestsFile(path)
    file.add(run)
    file.close()
    const rows = readFileSync(path, 'utf8').trimEnd().split('\n').slice(1)
    assert.deepEqual(rows, [
      '0,0,0.000000000,10,4,0,0.000000,0.000001,0.000003,0.000012,0.000000012,0,completed',
      '1,0,0.001000000,10,2,0,1.000000,2.000000,,,0.004500000,0,cancelled',
    ])
  })

  it('write run.json in a fixed order, equal for equal runs', () => {
    const [a, b] = [store(), store()]
    assert.equal(text(a, 'run.json'), text(b, 'run.json'))
    assert.deepEqual(Object.keys(JSON.parse(text(a, 'run.json'))), [
      'llmsim',
      'command',
      'config',
      'summary',
    ])
  })

  it('are read back as they were, labels, strange ids and all', () => {
    const rows = [
      ...sixRequests,
      {id: 'comma, "quote"', arrived: 4000.000001, model: 'x', status: status.pending},
      {id: 'two\nlines', arrived: 4001, model: 'a,b', status: status.pending, priority: -3},
      {id: ' edge ', arrived: 4002, status: status.pending},
    ]
    const run = buildRun(rows)
    const back = readRun(store(['x'], run)).requests()
    assert.deepEqual(back.trace.requestId, run.trace.requestId)
    assert.deepEqual(back.trace.model, run.trace.model)
    assert.deepEqual(back.trace.priority, run.trace.priority)
    assert.equal(back.trace.session, undefined)
    const columns = [
      'arrivedAt',
      'scheduledAt',
      'firstTokenAt',
      'finishedAt',
      'status',
      'instance',
    ] as const
    for (const column of [...columns, 'producedTokens', 'preemptions', 'cachedTokens'] as const) {
      assert.deepEqual(back.outcomes[column], run.outcomes[column], column)
    }
  })

  it('name the line also after an id of two lines', () => {
    const run = buildRun([{...sixRequests[0]!, id: 'two\nlines'}, sixRequests[1]!])
    const folder = store(['x'], run)
    const path = join(folder, 'requests.csv')
    writeFileSync(path, text(folder, 'requests.csv').replace(/\nb,0/, '\nb,zero'))
    assert.throws(
      () => readRun(folder).requests(),
      problem('RUN_BAD_FILE', /requests\.csv:4: instance "zero"/),
    )
  })

  it('of more rows than any buffer holds lose none', () => {
    const rows = Array.from({length: 20_000}, (_, i) => ({
      arrived: i,
      scheduled: i,
      first: i + 1,
      finished: i + 2,
      output: 2,
    }))
    const run = buildRun(rows)
    const back = readRun(store(['x'], run)).requests()
    assert.deepEqual(back.outcomes.finishedAt, run.outcomes.finishedAt)
  })

  it('write gaps and steps beside them', () => {
    const itl = new ItlFile(join(root, 'itl.csv'))
    itl.add('a,b', [5, 7e9])
    itl.add('1', [])
    itl.close()
    assert.equal(text(root, 'itl.csv'), 'request_id,itl_ns\n"a,b",5 7000000000\n1,\n')
    const steps = new StepsFile(join(root, 'new', 'steps.csv'))
    steps.add({
      instance: 1,
      start: 5,
      end: 1_500_000_007,
      tokens: 30,
      prefillTokens: 20,
      decodeTokens: 10,
      running: 12,
      waiting: 3,
      freeBlocks: 99,
      preempted: 1,
    })
    steps.close()
    assert.equal(
      text(root, 'new/steps.csv'),
      'start_s,end_s,tokens,prefill_tokens,decode_tokens,running,waiting,free_blocks,preempted,instance\n' +
        '0.000000005,1.500000007,30,20,10,12,3,99,1,1\n',
    )
  })
})

describe('whole nanoseconds as text', () => {
  it('come back as they were, up to 2^53', () => {
    const ns = fc.oneof(fc.maxSafeNat(), fc.nat(2_000_000_000))
    fc.assert(
      fc.property(ns, (value) => {
        assert.equal(nsOfSeconds(secondsText(value)), value)
        const milliseconds = `${Math.floor(value / 1e6)}.${String(value % 1e6).padStart(6, '0')}`
        assert.equal(nsOfMilliseconds(milliseconds), value)
        assert.match(secondsText(value), /^\d+\.\d{9}$/)
      }),
    )
  })

  it('have no float noise', () => {
    assert.equal(secondsText(183_706_634_969), '183.706634969')
    assert.equal(secondsText(2 ** 53 - 1), '9007199.254740991')
    assert.equal(secondsText(Number.NaN), '')
  })
})
