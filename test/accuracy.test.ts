/** docs/accuracy.md holds what the simulator says today, not what it said once. */
import {existsSync} from 'node:fs'
import {readFile} from 'node:fs/promises'
import {resolve} from 'node:path'
import {expect} from 'chai'
import {root, spawnProgram} from './support/cli.js'

const data = resolve(root, process.env.LLMSIM_DATA ?? '../shared/data')
const script = `${root}bench/accuracy.js`
const measured = 'serving/vllm-0.19-rtx4090-llama-3.1-8b/requests_derived.csv'

describe('docs/accuracy.md', () => {
  it('compares every source with every measured run, in all statistics', async () => {
    const page = await readFile(`${root}docs/accuracy.md`, 'utf8')
    const rows = page.match(/^\| (TTFT|TPOT|E2E) \| .*$/gm) ?? []
    expect(rows).length(2 * 3 * 6)
    for (const row of rows) expect(row.split('|'), row).length(9)
    for (const source of ['**measured**', 'profile', 'roofline', 'datasheet', 'LLMServingSim'])
      expect(
        rows.filter((row) => row.includes(`| ${source} |`)),
        source,
      ).length(6)
  })

  const there = existsSync(resolve(data, measured))
  const title = 'is what npm run accuracy writes'
  if (!there) it(`${title} (skipped: no ${measured} below LLMSIM_DATA)`)
  else
    it(title, async () => {
      const {code, stderr} = await spawnProgram(process.execPath, [script, '--check'])
      expect(code, stderr).equal(0)
    }).timeout(60_000)

  it('is left alone, and says why, where there is no data', async () => {
    const env = {LLMSIM_DATA: '/does/not/exist'}
    const {code, stdout, stderr} = await spawnProgram(process.execPath, [script], {env})
    expect([code, stdout]).deep.equal([0, ''])
    expect(stderr).include('skipped').include('LLMSIM_DATA')
  })
})

describe('docs/accuracy-published.md', () => {
  it('is what npm run accuracy:published writes', async () => {
    const published = `${root}bench/published.js`
    const {code, stderr} = await spawnProgram(process.execPath, [published, '--check'])
    expect(code, stderr).equal(0)
  }).timeout(60_000)
})
