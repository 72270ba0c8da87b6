import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {Problem} from '#llmsim/errors.js'
import {AppendingFile} from '#llmsim/server/appending-file.js'
import {Recorder, type RecorderOptions} from '#llmsim/server/recorder.js'
import {readTrace} from '#llmsim/trace/read.js'
import {type RecordedRow, recordingHeader} from '#llmsim/trace/recording.js'

const folders: string[] = []
const freshFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-recorder-'))
  folders.push(folder)
  return folder
}

const rowOf = (number: number, more: Partial<RecordedRow> = {}): RecordedRow => ({
  arrivedAt: number * 1e6 + 1,
  inputTokens: 20,
  outputTokens: 12,
  requestId: `r${number}`,
  model: 'a,b "c"',
  session: 's1',
  turn: number,
  priority: 0,
  blockHashes: '0000000000000001 0000000000000002',
  cancelledAt: undefined,
  status: 'completed',
  endpoint: '/v1/completions',
  mode: 'whole',
  producedTokens: 12,
  cachedTokens: 0,
  preemptions: 0,
  predictedQueue: 1,
  predictedTtft: 1_000_001,
  predictedE2e: 2_000_000_123,
  ttft: undefined,
  e2e: undefined,
  gaps: undefined,
  httpStatus: undefined,
  ...more,
})

const lost = (number: number): RecordedRow => rowOf(number, {status: 'lost'})

const recorderIn = (
  folder: string,
  more: Partial<RecorderOptions> = {},
): {recorder: Recorder; path: string; told: string[]} => {
  const path = join(folder, 'deep', 'trace.csv')
  const told: string[] = []
  const recorder = new Recorder({
    path,
    kept: 'no texts',
    meta: {salt: '1'},
    onTrouble: (sentence) => told.push(sentence),
    ...more,
  })
  return {recorder, path, told}
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const lines = (path: string): string[] => readFileSync(path, 'utf8').trimEnd().split('\n')

describe('the recorder', () => {
  after(() => {
    for (const folder of folders) rmSync(folder, {recursive: true})
  })

  it('hands rows to the kernel before it says that they are kept', async () => {
    const {recorder, path} = recorderIn(freshFolder())
    const seen: number[] = []
    for (const number of [0, 1, 2]) {
      recorder.accept(lost(number))
      recorder.end(rowOf(number), () => seen.push(lines(path).length - 1))
    }
    expect(lines(path).length).equal(1)
    await turn()
    expect(seen).deep.equal([3, 3, 3])
    expect(recorder.rows).equal(3)
    recorder.close()
    expect(existsSync(`${path}.open`)).equal(false)
  })

  it('writes what the reader reads, to the nanosecond', async () => {
    const {recorder, path} = recorderIn(freshFolder())
    recorder.end(rowOf(2, {cancelledAt: 3_000_000_007, status: 'cancelled'}))
    recorder.end(rowOf(1, {gaps: [1_500_000, 2]}))
    recorder.close()
    const trace = await readTrace([path])
    expect([...trace.arrivedAt]).deep.equal([1_000_001, 2_000_001])
    expect([...trace.cancelledAt!]).deep.equal([Number.NaN, 3_000_000_007])
    expect(trace.requestId).deep.equal(['r1', 'r2'])
    expect(trace.model!.names).deep.equal(['a,b "c"'])
    expect([...trace.prefix!.ids]).deep.equal([1, 2, 1, 2])
    expect(trace.extra!.get('predicted_e2e_ms')).deep.equal(['2000.000123', '2000.000123'])
    expect(trace.extra!.get('gaps_ms')).deep.equal(['1.500000 0.000002', ''])
    expect(trace.notes).deep.equal([])
  })

  it('leaves those who were accepted and did not end in FILE.open; the reader has them as lost', async () => {
    const {recorder, path} = recorderIn(freshFolder())
    for (const number of [0, 1, 2]) recorder.accept(lost(number))
    await turn()
    recorder.end(rowOf(1))
    await turn()
    // Killed here: nothing is closed.
    expect(lines(`${path}.open`).length).equal(4)
    const trace = await readTrace([path])
    expect(trace.requestId).deep.equal(['r0', 'r1', 'r2'])
    expect(trace.extra!.get('status')).deep.equal(['lost', 'completed', 'lost'])
    expect(trace.notes).deep.equal([
      `${path}: 2 requests were accepted and never ended (status lost).`,
    ])
  })

  it('reads a file whose last lines are torn, with a note for each', async () => {
    const {recorder, path} = recorderIn(freshFolder())
    recorder.accept(lost(0))
    recorder.accept(lost(1))
    recorder.end(rowOf(2))
    await turn()
    for (const file of [path, `${path}.open`])
      writeFileSync(file, readFileSync(file, 'utf8').slice(0, -30))
    const torn = await readTrace([path]).catch((error: Problem) => error)
    // The only whole row is an open one.
    expect(torn).not.instanceOf(Problem)
    const trace = torn as Awaited<ReturnType<typeof readTrace>>
    expect(trace.requestId).deep.equal(['r0'])
    expect(trace.notes.filter((note) => note.includes('torn')).length).equal(2)
  })

  it('leaves out requests that failed before they had tokens, with a note', async () => {
    const {recorder, path} = recorderIn(freshFolder())
    recorder.end(rowOf(0, {outputTokens: 0, status: 'failed'}))
    recorder.end(rowOf(1))
    recorder.close()
    const trace = await readTrace([path])
    expect(trace.requestId).deep.equal(['r1'])
    expect(trace.notes.length).equal(1)
  })

  it('never writes over a file', () => {
    const folder = freshFolder()
    const {recorder, path} = recorderIn(folder)
    recorder.close()
    const again = () => recorderIn(folder)
    expect(again).throws(Problem, `${path} exists already`)
  })

  it('begins new parts by size; together they are the trace, and what is open moves along', async () => {
    const {recorder, path} = recorderIn(freshFolder(), {rotate: {bytes: 600}})
    recorder.accept(lost(99))
    for (let number = 0; number < 9; number++) {
      recorder.accept(lost(number))
      await turn()
      recorder.end(rowOf(number))
      await turn()
    }
    expect(recorder.files.length).above(2)
    expect(recorder.files[1]).equal(path.replace('.csv', '-2.csv'))
    expect(existsSync(`${path}.open`)).equal(false)
    const trace = await readTrace(recorder.files)
    expect(trace.length).equal(10)
    expect(trace.extra!.get('status')!.filter((status) => status === 'lost').length).equal(1)
    recorder.close()
  })

  it('begins its parts beside those that an earlier recording left', async () => {
    const {recorder, path, told} = recorderIn(freshFolder(), {rotate: {bytes: 600}})
    const second = path.replace('.csv', '-2.csv')
    writeFileSync(second, 'somebody else')
    for (let number = 0; number < 9; number++) {
      recorder.end(rowOf(number))
      await turn()
    }
    expect(recorder.files[1]).equal(path.replace('.csv', '-3.csv'))
    expect(readFileSync(second, 'utf8')).equal('somebody else')
    expect(told).deep.equal([])
    expect((await readTrace(recorder.files)).length).equal(9)
    recorder.close()
  })

  it('tells once that a part cannot be begun, leaves nothing of it, and goes on', async () => {
    let made = 0
    class FullDisk extends AppendingFile {
      override append(): void {
        throw Object.assign(new Error('no space'), {code: 'ENOSPC'})
      }
    }
    const {recorder, path, told} = recorderIn(freshFolder(), {
      rotate: {bytes: 600},
      create: (file) => {
        made++
        return made > 1 ? new FullDisk(file) : new AppendingFile(file)
      },
    })
    for (let number = 0; number < 9; number++) {
      recorder.end(rowOf(number))
      await turn()
    }
    expect(told.length).equal(1)
    expect(told[0]).match(/-2\.csv cannot be begun \(ENOSPC\): the trace goes on in .*trace\.csv\./)
    expect(existsSync(path.replace('.csv', '-2.csv'))).equal(false)
    expect(recorder.files).deep.equal([path])
    expect((await readTrace(recorder.files)).length).equal(9)
    recorder.close()
  })

  it('tells when the disk is full, fails the answers, and goes on without a gap when there is room', async () => {
    let room = 1000
    class SmallDisk extends AppendingFile {
      override append(text: string): void {
        if (this.size + text.length > room)
          throw Object.assign(new Error('no space'), {code: 'ENOSPC'})
        super.append(text)
      }
    }
    const {recorder, path, told} = recorderIn(freshFolder(), {
      create: (file) => new SmallDisk(file),
    })
    const fates: string[] = []
    for (let number = 0; number < 8; number++) {
      recorder.end(rowOf(number), (fate) => fates.push(fate))
      await turn()
    }
    expect(fates).include('lost')
    expect(fates.length).equal(8)
    expect(recorder.trouble).equal(`${path} cannot be written (ENOSPC)`)
    expect(told).deep.equal([`${path} cannot be written (ENOSPC): requests get 503 until it can.`])
    expect(readFileSync(path, 'utf8').endsWith('\n')).equal(true)
    room = 1e6
    recorder.flush()
    expect(recorder.trouble).equal(undefined)
    expect(told.length).equal(2)
    recorder.close()
    const trace = await readTrace([path])
    const status = trace.extra!.get('status')!
    expect(status).deep.equal(fates.map((fate) => (fate === 'lost' ? 'failed' : 'completed')))
  })

  it('throws out of its journal who has ended, when that has grown', async () => {
    const {recorder, path} = recorderIn(freshFolder())
    const long = {blockHashes: '0'.repeat(100_000)}
    recorder.accept(lost(-1))
    for (let number = 0; number < 200; number++) {
      recorder.accept({...lost(number), ...long})
      await turn()
      recorder.end(rowOf(number))
      await turn()
    }
    expect(readFileSync(`${path}.open`).length).below(9e6)
    expect(lines(`${path}.open`)[1]).include('r-1')
    recorder.close()
  })

  it('has a header that says whether texts are kept', () => {
    expect(recordingHeader('texts')).include(',prompt_json,answer_json\n')
    expect(recordingHeader('no texts')).not.include('prompt')
  })
})
