import {Ajv2020} from 'ajv/dist/2020.js'
import {expect} from 'chai'
import fc from 'fast-check'
import {Dice} from '#llmsim/server/answers/dice.js'
import {SchemaWriter} from '#llmsim/server/answers/schema-text.js'
import type {JsonSchema} from '#llmsim/server/requests/generation-request.js'
import {apiErrorOf} from '../build-answering.js'

const write = (schema: JsonSchema, seed = 1): unknown =>
  new SchemaWriter({schema, path: 'schema'}, new Dice(seed), 3).write()

const ajv = new Ajv2020({strict: false, validateFormats: false, allErrors: true})

const valid = (schema: JsonSchema, seeds = 30): void => {
  const check = ajv.compile(schema)
  for (let seed = 0; seed < seeds; seed++) {
    const value = write(schema, seed)
    expect(check(value), `${JSON.stringify(value)}: ${ajv.errorsText(check.errors)}`).equal(true)
  }
}

const leaf = fc.oneof(
  fc.record({type: fc.constant('string'), minLength: fc.nat({max: 30})}, {requiredKeys: ['type']}),
  fc.record({type: fc.constant('string'), maxLength: fc.nat({max: 30})}, {requiredKeys: ['type']}),
  fc.record(
    {type: fc.constantFrom('integer', 'number'), minimum: fc.integer({min: -500, max: 500})},
    {requiredKeys: ['type']},
  ),
  fc.record({
    type: fc.constant('number'),
    exclusiveMaximum: fc.double({min: -10, max: 10, noNaN: true}),
  }),
  fc.record({type: fc.constant('integer'), multipleOf: fc.integer({min: 1, max: 50})}),
  fc.constant({type: 'boolean'}),
  fc.constant({type: ['null', 'string']}),
  fc.record({enum: fc.array(fc.jsonValue({maxDepth: 1}), {minLength: 1, maxLength: 4})}),
  fc.record({const: fc.jsonValue({maxDepth: 1})}),
)

const {schema: anySchema} = fc.letrec<{schema: object}>((tie) => ({
  schema: fc.oneof(
    {depthSize: 'small', withCrossShrink: true},
    leaf,
    fc
      .tuple(
        fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), tie('schema'), {maxKeys: 4}),
        fc.boolean(),
      )
      .map(([properties, isStrict]) => ({
        type: 'object',
        properties,
        required: isStrict ? Object.keys(properties) : [],
        additionalProperties: !isStrict,
      })),
    fc.tuple(tie('schema'), fc.nat({max: 3}), fc.nat({max: 3})).map(([items, least, more]) => ({
      type: 'array',
      items,
      minItems: least,
      maxItems: least + more,
    })),
    fc.array(tie('schema'), {minLength: 1, maxLength: 3}).map((anyOf) => ({anyOf})),
  ),
}))

describe('JSON for a schema', () => {
  it('is valid, whatever the schema', () => {
    fc.assert(
      fc.property(anySchema, (schema) => valid(schema as JsonSchema, 3)),
      {numRuns: 300},
    )
  })

  const cases: readonly (readonly [string, JsonSchema])[] = [
    ['any', true],
    ['an empty one', {}],
    [
      'a tree of itself',
      {
        $defs: {
          node: {
            type: 'object',
            properties: {
              value: {type: 'integer'},
              children: {type: 'array', items: {$ref: '#/$defs/node'}},
            },
            required: ['value', 'children'],
            additionalProperties: false,
          },
        },
        $ref: '#/$defs/node',
      },
    ],
    [
      'a list that ends with null',
      {
        type: 'object',
        properties: {next: {anyOf: [{$ref: '#'}, {type: 'null'}]}, name: {type: 'string'}},
        required: ['next', 'name'],
        additionalProperties: false,
      },
    ],
    [
      'alternatives with tags',
      {
        oneOf: [
          {
            type: 'object',
            properties: {kind: {const: 'a'}, x: {type: 'number'}},
            required: ['kind', 'x'],
          },
          {
            type: 'object',
            properties: {kind: {const: 'b'}, y: {type: 'string'}},
            required: ['kind', 'y'],
          },
        ],
      },
    ],
    [
      'parts together',
      {
        allOf: [
          {type: 'object', properties: {a: {type: 'integer', minimum: 3}}, required: ['a']},
          {properties: {a: {maximum: 5}, b: {type: 'string'}}, required: ['b']},
        ],
      },
    ],
    [
      'patterns',
      {
        type: 'object',
        properties: {
          code: {type: 'string', pattern: '^[A-Z]{3}-\\d{2,4}$'},
          path: {type: 'string', pattern: '^/(?:home|tmp)/[^/\\s]+\\.(txt|md)$'},
          some: {type: 'string', pattern: 'x+y?', minLength: 2, maxLength: 4},
        },
        required: ['code', 'path', 'some'],
      },
    ],
    [
      'different items',
      {type: 'array', items: {enum: [1, 2, 3, 4]}, uniqueItems: true, minItems: 4},
    ],
    [
      'a tuple',
      {
        type: 'array',
        prefixItems: [{type: 'string'}, {type: 'integer'}],
        items: false,
        minItems: 2,
      },
    ],
    ['a map', {type: 'object', additionalProperties: {type: 'integer'}, minProperties: 3}],
    ['decimals', {type: 'number', minimum: 0.001, maximum: 0.002}],
    [
      'the type of the values alone',
      {properties: {a: {minimum: 2, type: 'number'}}, required: ['a']},
    ],
    [
      'Pydantic',
      {
        $defs: {Color: {enum: ['red', 'green'], title: 'Color', type: 'string'}},
        properties: {
          color: {$ref: '#/$defs/Color'},
          size: {anyOf: [{type: 'integer'}, {type: 'null'}], default: null},
        },
        required: ['color'],
        title: 'Shirt',
        type: 'object',
      },
    ],
  ]
  for (const [what, schema] of cases) it(`is valid for ${what}`, () => valid(schema))

  it('has formats', () => {
    const schema = (format: string): JsonSchema => ({type: 'string', format})
    expect(write(schema('date-time'))).match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    expect(Number.isNaN(Date.parse(String(write(schema('date-time')))))).equal(false)
    expect(write(schema('uuid'))).match(
      /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-a[\da-f]{3}-[\da-f]{12}$/,
    )
    expect(write(schema('email'))).match(/^\w+@example\.com$/)
    expect(new URL(String(write(schema('uri')))).protocol).equal('https:')
  })

  it('is the same for the same dice', () => {
    const schema = {type: 'object', properties: {a: {type: 'string'}, b: {type: 'integer'}}}
    expect(write(schema, 7)).deep.equal(write(schema, 7))
    expect(write(schema, 7)).not.deep.equal(write(schema, 8))
  })

  const refused: readonly (readonly [string, JsonSchema, RegExp])[] = [
    ['that allows nothing', false, /it allows nothing/],
    ['without end', {type: 'object', properties: {a: {$ref: '#'}}, required: ['a']}, /without end/],
    ['that refers to itself', {$ref: '#'}, /in circles/],
    ['with a reference to nowhere', {$ref: '#/$defs/none'}, /there is no #\/\$defs\/none/],
    ['with "not"', {not: {type: 'string'}}, /"not" is not served/],
    ['with an unknown type', {type: 'text'}, /there is no type "text"/],
    [
      'with a pattern that looks ahead',
      {type: 'string', pattern: '^(?=a)b$'},
      /no text was found for the pattern/,
    ],
    [
      'with bounds that exclude all',
      {type: 'integer', minimum: 5, maximum: 4},
      /no integer lies between/,
    ],
    ['with an empty enum', {enum: []}, /an "enum" is empty/],
    [
      'with too few different items',
      {type: 'array', items: {enum: [1]}, uniqueItems: true, minItems: 2},
      /more different items/,
    ],
  ]
  for (const [what, schema, message] of refused) {
    it(`is refused for a schema ${what}`, async () => {
      const error = await apiErrorOf(() => write(schema))
      expect(error.status).equal(400)
      expect(error.details.param).equal('schema')
      expect(error.message).match(message)
    })
  }
})
