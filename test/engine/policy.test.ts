import {readFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {pathToFileURL} from 'node:url'
import {expect} from 'chai'
import {loadPolicy, policies, type WaitingView} from '#llmsim/engine/policy.js'
import {Problem} from '#llmsim/errors.js'
import {serve} from '../cluster/serve.js'
import {root} from '../support/cli.js'
import {behavesAsPolicy} from './policy-suite.js'

const asUrl = (path: string) => pathToFileURL(resolve(root, path)).href
const load = (name: string) => loadPolicy(name, asUrl)
const fixture = (name: string) => join('test/fixtures/policies', `${name}.mjs`)
const request: WaitingView = {
  arrivedAt: 5,
  inputTokens: 30,
  predictedOutputTokens: undefined,
  priority: 2,
}

const problemOf = async (action: () => unknown): Promise<Problem> => {
  try {
    await action()
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('a policy module that is wrong', () => {
  const faults: Record<string, RegExp> = {
    'no-key': /it exports no function "key"\.$/,
    'key-is-text': /it exports no function "key"\.$/,
    null: /it exports no function "key"\.$/,
    'misspelt-victim': /nothing reads its "victm"\.$/,
    'misspelt-key': /nothing reads its "kye"\.$/,
    'bad-victim': /"victim" must be "last-admitted" or "largest-key", not "first"\.$/,
    syntax: /it could not be loaded: Unexpected identifier 'victim'\.$/,
    throws: /it could not be loaded: no licence\.$/,
    'lost-import': /it could not be loaded: Cannot find module .*no-such-file\.mjs/,
    missing: /it could not be loaded: Cannot find module .*missing\.mjs/,
  }
  for (const [name, message] of Object.entries(faults))
    it(`is refused: ${name}`, async () => {
      const problem = await problemOf(() => load(fixture(name)))
      expect(problem.code).equal('POLICY_BAD_MODULE')
      expect(problem.message)
        .match(message)
        .and.match(/^--policy test\/fixtures/)
      expect(problem.message).not.include('\n')
    })

  it('says how to find a syntax error', async () => {
    const {suggestions} = await problemOf(() => load(fixture('syntax')))
    expect(suggestions).deep.equal([`node --check ${fixture('syntax')} shows the line.`])
  })

  const badKeys: Record<string, RegExp> = {
    'nan-key': /key\(\) must return a number, it returned NaN\.$/,
    'async-key': /key\(\) must return a number, it returned \[object Promise\]\.$/,
    'throws-in-key': /key\(\) threw: Cannot read properties of undefined.*[^.]\.$/,
  }
  for (const [name, message] of Object.entries(badKeys))
    it(`is refused at the first request: ${name}`, async () => {
      const policy = await load(fixture(name))
      const problem = await problemOf(() => serve({rows: [{at: 0}], engine: {policy}}))
      expect(problem.code).equal('POLICY_BAD_MODULE')
      expect(problem.message).match(message)
      expect(problem.suggestions.join()).include('inputTokens')
    })

  it('is not looked for when the name is no path', async () => {
    const problem = await problemOf(() => load('lifo'))
    expect(problem.code).equal('FLAG_BAD_VALUE')
    expect(problem.message).include('fcfs, priority, sjf')
  })
})

describe('a policy module', () => {
  it('exports a policy as default or by names, victim last-admitted unless it says more', async () => {
    expect(await load(fixture('named'))).include({name: fixture('named'), victim: 'largest-key'})
    expect((await load(fixture('named'))).key(request)).equal(-30)
    expect(await load(fixture('stateful'))).include({victim: 'last-admitted'})
  })

  it('may keep things beside its key', async () => {
    expect((await load(fixture('stateful'))).key(request)).equal(4)
  })
})

describe('the policies by name', () => {
  const keyOf = (name: string, fields: Partial<WaitingView>) =>
    policies.find((policy) => policy.name === name)!.key({...request, ...fields})

  it('are found without a file', async () => {
    for (const policy of policies) expect(await load(policy.name)).equal(policy)
  })

  it('fcfs takes all alike; the tail of the running gives way', () => {
    expect(keyOf('fcfs', {inputTokens: 1})).equal(keyOf('fcfs', {inputTokens: 9, priority: 7}))
    expect(policies[0]!.victim).equal('last-admitted')
  })

  it('priority goes by the number of the request; the least urgent gives way', () => {
    expect(keyOf('priority', {priority: -3})).equal(-3)
    expect(policies[1]!.victim).equal('largest-key')
  })

  it('sjf goes by the predicted output, where nobody predicted by the prompt', () => {
    expect(keyOf('sjf', {})).equal(30)
    expect(keyOf('sjf', {predictedOutputTokens: 7})).equal(7)
  })
})

describe('docs/policies.md', () => {
  const page = readFileSync(join(root, 'docs/policies.md'), 'utf8')

  it('shows the example as it is', () => {
    const example = readFileSync(join(root, 'docs/examples/aging.mjs'), 'utf8')
    expect(/^```js\n([\s\S]*?)^```$/m.exec(page)?.[1]).equal(example)
  })

  it('has every policy by name, and every field that a key may see', () => {
    const named = [...page.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1])
    const fields = ['arrivedAt', 'inputTokens', 'predictedOutputTokens', 'priority']
    expect(named).deep.equal([...policies.map(({name}) => name), ...fields])
  })
})

for (const {name} of policies) behavesAsPolicy(name, () => load(name))
behavesAsPolicy('of a module (docs/examples/aging.mjs)', () => load('docs/examples/aging.mjs'))
behavesAsPolicy('of a module that takes the longest first', () => load(fixture('named')))
