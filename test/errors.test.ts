import {readdir, readFile} from 'node:fs/promises'
import {expect} from 'chai'
import {Problem, problemCodes} from '#llmsim/errors.js'
import {commandExists, root} from './support/cli.js'

describe('error codes', () => {
  const codes = Object.keys(problemCodes)

  it('stand in alphabetical order and are written alike', () => {
    expect(codes).deep.equal([...codes].sort())
    for (const code of codes) expect(code).match(/^[A-Z]+(_[A-Z]+)*$/)
  })

  it('each mean something, in one sentence', () => {
    for (const [code, meaning] of Object.entries(problemCodes))
      expect(meaning, code).match(/^[A-Z].*\.$/)
  })

  it('are all explained in docs/errors.md, in order, and nothing else is', async () => {
    const page = await readFile(`${root}docs/errors.md`, 'utf8')
    const sections = page.split(/^## /m).slice(1)
    const headed = sections.map((section) => section.slice(0, section.indexOf('\n')).trim())
    expect(headed.map((heading) => heading.replaceAll('`', ''))).deep.equal(codes)
    for (const section of sections) {
      expect(section, 'an example').match(
        /^```\nError: .+\nCode: [A-Z_]+\n(?:Try this:.*\n(?: {2}\* .+\n)*)?```$/m,
      )
      expect(section, 'how to mend it').match(/^Mend it: /m)
      const [, inExample] = /^Code: ([A-Z_]+)$/m.exec(section) ?? []
      expect(inExample).equal(section.slice(0, section.indexOf('\n')).replaceAll('`', '').trim())
    }
  })

  it('are thrown somewhere, each of them', async function () {
    // While commands are missing, so are the places that throw.
    if (!(await commandExists('simulate'))) this.skip()
    const files = await readdir(`${root}src`, {recursive: true})
    const sources = await Promise.all(
      files
        .filter((file) => file.endsWith('.ts') && file !== 'errors.ts')
        .map((file) => readFile(`${root}src/${file}`, 'utf8')),
    )
    const thrown = sources.join('\n')
    expect(codes.filter((code) => !thrown.includes(`'${code}'`))).deep.equal([])
  })
})

describe('Problem', () => {
  it('carries what the command line prints', () => {
    const cause = new Error('inner')
    const problem = new Problem('TRACE_EMPTY', 'a.csv: no requests.', {
      suggestions: ['b.csv'],
      cause,
    })
    expect(problem).instanceOf(Error)
    expect(problem.name).equal('Problem')
    expect(problem.code).equal('TRACE_EMPTY')
    expect(problem.suggestions).deep.equal(['b.csv'])
    expect(problem.oclif.exit).equal(2)
    expect(problem.cause).equal(cause)
  })

  it('exits with 3 when a self-check failed', () => {
    expect(new Problem('CHECK_FAILED', 'blocks were lost.', {exit: 3}).oclif.exit).equal(3)
  })
})
