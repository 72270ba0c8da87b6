import {readdirSync, readFileSync} from 'node:fs'
import {expect} from 'chai'
import {parse} from 'yaml'
import {readPlainYaml} from '#llmsim/catalogue/plain-yaml.js'

describe('plain YAML', () => {
  const same = (text: string) => expect(readPlainYaml(text), text).to.deep.equal(parse(text))

  it('reads what the full parser reads', () => {
    same('a: 1\nb: -2.5e3\nc: text with spaces, (and commas)\nd: true\ne: null\nf:\n')
    same(
      '# head\na:\n  b:\n    c: [1, 2.0, x y]\n  d: {e: 1, f: [a, "b, c"], g: {h: 2}}\ni: 3 # tail\n',
    )
    same('a: \'quoted: text\'\nb: "more, text"\n2: two\n')
    same('a: >-\n  one two\n  three\nb: 1\n')
    same('a: []\nb: {}\n')
    same('a: 1.5.2\nb: 0123\nc: 1_000\nd: a:b\ne: http://x/y\n')
  })

  const beyond = [
    '',
    'a: &x 1',
    'a: *x',
    'a: |\n  text',
    'a: >\n  text',
    'a: >-\n  one\n\n  two',
    'a: >-\n  one\n  # two',
    '- a',
    'a:\n- b',
    'a: one\n  two',
    'a: 0x10',
    'a: .inf',
    'a: True',
    'a: [1, 2',
    'a: {b: 1',
    'a: {b: c: d}',
    'a: b: c',
    'a: "x\\n"',
    "a: 'it''s'",
    'a: "x" # y',
    'a: "x # y"',
    'a: 1\na: 2',
    'a: 1\r\nb: 2',
    'a:\t1',
    'a: @x',
    'a: !!str 1',
    '---\na: 1',
    'text',
    '? a\n: b',
    'a: [1] 2',
    '__proto__: 1',
    'a: 1\n   b: 2',
    '<<: {a: 1}',
  ]
  for (const text of beyond) {
    it(`leaves ${JSON.stringify(text)} to the full parser`, () => {
      expect(readPlainYaml(text)).to.equal(undefined)
    })
  }

  it('reads every file of the hardware catalogue, as the full parser does', () => {
    const files = readdirSync('hardware')
    expect(files).to.have.length.above(20)
    for (const file of files) {
      const text = readFileSync(`hardware/${file}`, 'utf8')
      expect(readPlainYaml(text), file).to.deep.equal(parse(text))
    }
  })
})
