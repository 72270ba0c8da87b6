/** `hardware calibrate`: the committed files come out of the data again, and wrong input is told. */
import {cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {loadHardware} from '#llmsim/catalogue/hardware.js'
import {Problem} from '#llmsim/errors.js'
import {calibrateCatalogue} from '#llmsim/study/calibrate-catalogue.js'

const data = process.env.LLMSIM_DATA ?? '../shared/data'

const problemOf = async (work: Promise<unknown>): Promise<Problem> => {
  try {
    await work
  } catch (error) {
    expect(error).to.be.instanceOf(Problem)
    return error as Problem
  }
  throw new Error('no Problem was thrown')
}

describe('hardware calibrate', function () {
  this.timeout(120_000)

  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-calibrate-'))
  })
  after(() => rmSync(folder, {recursive: true}))

  const none = {own: {}, write: false}

  it('makes the committed files again from the data', async function () {
    if (!existsSync(join(data, 'llmservingsim'))) {
      console.log(`      no measurements at ${data}: skipped (LLMSIM_DATA names the folder)`)
      this.skip()
    }
    const [card, half] = await calibrateCatalogue({...none, names: ['RTX4090', 'RTX3090'], data})
    expect(card).to.include({calibrated: true, isUpToDate: true})
    expect(half).to.include({calibrated: false, isUpToDate: true})
  })

  it('fits a card of the user to a profile of it, and writes its file', async function () {
    const profile = join(data, 'llmservingsim/perf/RTX4090/meta-llama/Llama-3.1-8B/bf16/tp1')
    if (!existsSync(profile)) this.skip()
    const path = join(folder, 'mine.yaml')
    cpSync('hardware/RTX4090.yaml', path)
    writeFileSync(path, readFileSync(path, 'utf8').replace(/^id: .*$/m, 'id: Mine'))
    const own = {bundles: [profile]}
    const request = {names: [path], data: '', own, write: true}
    const [device] = await calibrateCatalogue(request)
    expect(device).to.include({id: 'Mine', calibrated: true, isUpToDate: true})
    const {kernels, calibrated} = await loadHardware(path)
    expect(calibrated).to.equal(true)
    expect(kernels.gemm.bf16?.meanErrorPercent).to.be.below(10)
    expect(kernels.decodeAttention?.meanErrorPercent).to.be.below(12)
  })

  it('says where it looked for the data', async () => {
    const {code, message} = await problemOf(
      calibrateCatalogue({...none, names: ['H100'], data: join(folder, 'nowhere')}),
    )
    expect(code).to.equal('KERNELS_BAD_FILE')
    expect(message).to.include(join(folder, 'nowhere', 'kernels/h100_sxm'))
  })

  it('knows of what there are no measurements', async () => {
    const {code, message} = await problemOf(
      calibrateCatalogue({...none, names: ['MI300X'], data: folder}),
    )
    expect(code).to.equal('KERNELS_BAD_FILE')
    expect(message).to.include('no measurements of MI300X')
  })

  it('wants one device for measurements of its own, and a path that names the model', async () => {
    const conflict = await problemOf(
      calibrateCatalogue({names: [], data: '', own: {tables: folder}, write: false}),
    )
    expect(conflict.code).to.equal('FLAG_CONFLICT')
    const path = await problemOf(
      calibrateCatalogue({names: ['H100'], data: '', own: {bundles: [folder]}, write: false}),
    )
    expect(path.code).to.equal('FLAG_BAD_VALUE')
    expect(path.message).to.include('<org>/<model>/<variant>/tp<N>')
  })

  it('refuses tables that are no Parquet', async () => {
    writeFileSync(join(folder, 'gemm_perf.parquet'), 'm,n,k')
    const {code, message} = await problemOf(
      calibrateCatalogue({names: ['H100'], data: '', own: {tables: folder}, write: false}),
    )
    expect(code).to.equal('KERNELS_BAD_FILE')
    expect(message).to.include('gemm_perf.parquet: is no Parquet file')
  })
})
