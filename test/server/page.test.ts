// @alone: a browser shows what happens in real time.

import {accessSync, constants, mkdtempSync, statSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {type Browser, chromium, type Page} from 'playwright-core'
import type {Port} from '#llmsim/server/port.js'
import {listenModel as model, post} from '../support/listening.js'
import {openTestPort} from '../support/open-port.js'

/** Debian's browser; another one can be named. */
const executablePath = process.env.LLMSIM_CHROMIUM ?? '/usr/bin/chromium'

const hasBrowser = (): boolean => {
  try {
    accessSync(executablePath, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const ask = (port: Port, fields: object) =>
  post({
    url: port.url,
    body: {model, messages: [{role: 'user', content: 'Hello'}], ignore_eos: true, ...fields},
  })

const until = async (isSo: () => Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 100))
}

/** Runs in the page: pixels by which it is wider than its window. */
const tooWide = (): number => {
  const {document} = globalThis as unknown as {
    document: {documentElement: {scrollWidth: number; clientWidth: number}}
  }
  return document.documentElement.scrollWidth - document.documentElement.clientWidth
}

describe('the figures of the page', () => {
  it('are those of the port', async () => {
    const port = await openTestPort({speed: 20})
    const answers = [ask(port, {max_tokens: 30}), ask(port, {max_tokens: 10, stream: true})]
    await Promise.all(answers)
    const live = async () =>
      (await (await fetch(`${port.url}/live`)).json()) as {
        now: {running: number; rows: number; kv_blocks: {used: number; total: number}}
        samples: {running: number; ttft: {p50: number; p95: number} | null}[]
        recent: {status: string; outputTokens: number; ttft: number; tpot: number; e2e: number}[]
      }
    for (let i = 0; i < 100 && ((await live()).samples.at(-1)?.ttft ?? null) === null; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const {now, samples, recent} = await live()
    expect([now.running, now.rows, now.kv_blocks.used]).deep.equal([0, 2, 0])
    expect(now.kv_blocks.total).greaterThan(1000)
    expect(recent.map(({outputTokens}) => outputTokens).sort((a, b) => a - b)).deep.equal([10, 30])
    for (const {status, outputTokens, ttft, tpot, e2e} of recent) {
      expect(status).equal('completed')
      expect(ttft + tpot * (outputTokens - 1)).closeTo(e2e, 0.01)
    }
    const latency = samples.at(-1)!.ttft!
    expect(latency.p50).within(Math.min(...recent.map(({ttft}) => ttft)), latency.p95)
    await port.close()
  })
})

describe('the page in a browser', function () {
  this.timeout(60_000)
  let browser: Browser
  let port: Port
  let page: Page
  const faults: string[] = []
  const foreign: string[] = []

  before(async function () {
    if (!hasBrowser()) {
      console.log(
        `      skipped: there is no browser at ${executablePath} (apt-get install chromium)`,
      )
      this.skip()
    }
    browser = await chromium.launch({
      executablePath,
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    })
    port = await openTestPort({
      about: {model, hardware: 'H100', devices: 1, respond: 'modelled', speed: 1},
    })
    page = await browser.newPage({viewport: {width: 1240, height: 1180}})
    page.on('pageerror', (error) => faults.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text())
    })
    page.on('request', (request) => {
      if (!request.url().startsWith(port.url) && !request.url().startsWith('data:'))
        foreign.push(request.url())
    })
    await page.goto(port.url)
  })
  after(async () => {
    await browser?.close()
  })

  const figure = async (id: string): Promise<number> =>
    Number.parseFloat((await page.locator(`#${id}`).innerText()).replaceAll(',', ''))

  it('says what is modelled, and that it is served', async () => {
    await page.locator('#state', {hasText: 'serving'}).waitFor()
    expect(await page.locator('#about').innerText()).equal(`${model} on H100`)
    expect(await page.locator('#recent').innerText()).contain('No request has ended yet')
  })

  it('shows requests while they run, and what became of them', async () => {
    const open = Array.from({length: 40}, (_, i) =>
      ask(port, {max_tokens: 500 + 10 * i, stream: i % 2 === 0}),
    )
    const most = {running: 0, kv: 0}
    await until(async () => {
      most.running = Math.max(most.running, await figure('running'))
      most.kv = Math.max(most.kv, await figure('kv'))
      return most.running >= 20 && most.kv > 0
    })
    await Promise.all(open)
    await until(async () => (await page.locator('#recent tr').count()) === 20)
    await until(async () => (await figure('ttft')) > 0 && (await figure('running')) === 0)
    expect(await figure('tpot')).within(3, 30)
    expect(await page.locator('#rows').innerText()).equal('40')
    expect(await page.locator('#recent tr').first().innerText()).contain('completed')
    for (const chart of ['requests', 'ttft', 'tpot', 'tokens']) {
      expect(
        (await page.locator(`#chart-${chart} .curve.one`).getAttribute('d'))!.length,
        chart,
      ).greaterThan(10)
    }
  })

  it('asks a question and shows the answer as it comes', async () => {
    await page.locator('form input').fill('How are you?')
    await page.locator('form button').click()
    await page
      .locator('#timing', {hasText: /first token after .* ms, then .* ms each, 20 tokens/})
      .waitFor()
    expect((await page.locator('#answer').innerText()).length).greaterThan(20)
  })

  it('fits a phone and the dark, fetches nothing from elsewhere, and has no faults', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'llmsim-page-'))
    const kept = process.env.LLMSIM_SCREENSHOTS ?? folder
    const pictures = [
      [join(kept, 'page.png'), {width: 1240, height: 1180}, 'light'],
      [join(kept, 'page-dark.png'), {width: 1240, height: 1180}, 'dark'],
      [join(kept, 'page-phone.png'), {width: 390, height: 844}, 'light'],
    ] as const
    for (const [path, size, colorScheme] of pictures) {
      await page.setViewportSize(size)
      await page.emulateMedia({colorScheme})
      await page.waitForTimeout(1200)
      await page.screenshot({path, fullPage: true})
      expect(statSync(path).size).greaterThan(20_000)
      const overflow = await page.evaluate(tooWide)
      expect(overflow, `${size.width} pixels`).equal(0)
    }
    expect([faults, foreign]).deep.equal([[], []])
  })

  it('says when the port is gone', async () => {
    await port.close()
    await page.locator('#state', {hasText: 'no connection'}).waitFor()
  })
})
