import {expect} from 'chai'
import {checkIndependent} from '#llmsim/study/independent.js'
import type {RunRequest} from '#llmsim/study/run-request.js'
import {problemOf} from '../catalogue/problem.js'

const request = {lora: {maxLoras: 1, rank: 8}} as unknown as RunRequest

describe('what engines must stand alone for', () => {
  const alone = {instance: {}}
  const cases = [
    ['prefill and decode', {instance: {role: 'prefill' as const}}],
    ['data-parallel ranks', {instance: {}, group: 0}],
  ] as const
  for (const [reason, place] of cases)
    it(`is refused with ${reason} that depend on each other`, async () => {
      const problem = await problemOf(() => checkIndependent(request, [alone, place]))
      expect(problem.code).equal('FLAG_CONFLICT')
      expect(problem.message).match(new RegExp(`^--max-loras and ${reason}`))
      checkIndependent({} as RunRequest, [alone, place])
    })

  it('is fine where they do', () => {
    checkIndependent(request, [alone, alone])
  })
})
