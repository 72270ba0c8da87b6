import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {loadEngine} from '#llmsim/catalogue/engines.js'
import {loadHardware} from '#llmsim/catalogue/hardware.js'
import {loadModel} from '#llmsim/catalogue/models.js'
import {readClusterYaml} from '#llmsim/study/cluster-file.js'
import {problemOf} from './problem.js'

/** Every kind of file that a person writes in YAML: one way of reading, one way of saying what is wrong. */
const kinds: readonly (readonly [string, string, (path: string) => Promise<unknown>])[] = [
  ['hardware', 'HARDWARE_BAD_FILE', loadHardware],
  ['engine', 'ENGINE_BAD_FILE', loadEngine],
  ['model', 'MODEL_BAD_CONFIG', loadModel],
  ['cluster', 'CLUSTER_BAD_FILE', readClusterYaml],
]

const wrong: readonly (readonly [string, string, RegExp])[] = [
  [
    'a key twice',
    'a: 1\nb: 2\na: 3\n',
    /mine\.yaml:3:1: not valid YAML: Map keys must be unique\.$/,
  ],
  [
    'a line that begins too far to the right',
    'a: H100\n  b: 3\n',
    /mine\.yaml:1:4: not valid YAML: here stands a value, and what follows reads as keys below it\.$/,
  ],
  ['a tab', 'a:\n\tb: 1\n', /mine\.yaml:2:1: not valid YAML: Tabs are not allowed/],
  ['an open list', 'a: [1\n', /mine\.yaml:\d+:\d+: not valid YAML: /],
  [
    'an alias of nothing',
    'a: 1\nb: *lost\n',
    /mine\.yaml:2:4: .* no anchor &lost comes before \*lost/,
  ],
  ['a second document', 'a: 1\n---\nb: 2\n', /mine\.yaml:2:1: .*a second document begins here\.$/],
  [
    'aliases that grow without end',
    billionLaughs(),
    /mine\.yaml: not valid YAML: Excessive alias count/,
  ],
  ['a binary', 'a: \0\n', /mine\.yaml: it is not a text file/],
]

function billionLaughs(): string {
  const rows = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
  for (let i = 1; i < 9; i++)
    rows.push(`a${i}: &a${i} [${Array.from({length: 9}, () => `*a${i - 1}`).join(', ')}]`)
  return `${rows.join('\n')}\n`
}

describe('files in YAML', () => {
  let folder: string
  let path: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llmsim-yaml-'))
    path = join(folder, 'mine.yaml')
  })
  after(() => rm(folder, {recursive: true}))

  for (const [kind, code, load] of kinds) {
    for (const [name, text, message] of wrong) {
      it(`${kind}: refuse ${name}`, async () => {
        await writeFile(path, text)
        const problem = await problemOf(() => load(path))
        expect(problem.code).equal(code)
        expect(problem.message).match(message).and.not.match(/\n/)
      })
    }
  }

  for (const [kind, code, load] of kinds.filter(([name]) => name !== 'model')) {
    it(`${kind}: refuse a folder, and what is not there`, async () => {
      await mkdir(join(folder, `${kind}.yaml`))
      const isFolder = await problemOf(() => load(join(folder, `${kind}.yaml`)))
      const missing = await problemOf(() => load(join(folder, 'no.yaml')))
      expect([isFolder.code, missing.code]).deep.equal([code, code])
      expect(isFolder.message).match(/it is a folder, not a file/)
      expect(missing.message).match(/no\.yaml: there is no such file/)
    })

    it(`${kind}: point at an unknown key`, async () => {
      await writeFile(path, '# mine\nextnds: H100\n')
      const {message} = await problemOf(() => load(path))
      expect(message).match(/mine\.yaml:2:1: extnds is not a known key/)
    })
  }

  it('say what a number is that JSON has no word for', async () => {
    await writeFile(path, 'extends: H100\nbandwidth_gb_s: .inf\n')
    const {message} = await problemOf(() => loadHardware(path))
    expect(message).match(/mine\.yaml:2:17: .* but is Infinity\.$/)
  })

  it('suggest the key that was meant', async () => {
    await writeFile(path, 'extends: H100\nbandwith_gb_s: 3900\n')
    expect((await problemOf(() => loadHardware(path))).suggestions).deep.equal(['bandwidth_gb_s'])
  })
})
