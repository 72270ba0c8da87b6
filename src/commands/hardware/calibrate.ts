import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../base-command.js'
import {calibrationPage} from '../../report/calibration-page.js'
import {type CalibratedDevice, calibrateCatalogue} from '../../study/calibrate-catalogue.js'

export default class HardwareCalibrate extends BaseCommand {
  static override summary = 'Fit the kernel coefficients of accelerators to measurements.'
  static override description =
    'Reads kernel tables (Parquet) and layer profiles, fits the laws of docs/latency.md, and prints every coefficient with its error. With --write it also updates the hardware files. Without --tables, --bundle or --layers the devices of the catalogue are fitted to the data sets that they were made from; NAME limits it to some of them.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> RTX4090 --data ../shared/data',
    '<%= config.bin %> <%= command.id %> --data ../shared/data --write',
    '<%= config.bin %> <%= command.id %> ./my-card.yaml --bundle perf/MyCard/meta-llama/Llama-3.1-8B/bf16/tp1 --write',
  ]
  static override strict = false
  static override args = {
    name: Args.string({description: 'ids of the catalogue, or the path of one .yaml file'}),
  }
  static override flags = {
    data: Flags.string({
      helpValue: 'DIR',
      env: 'LLMSIM_DATA',
      default: '../shared/data',
      summary: 'Folder that holds kernels/ and llmservingsim/.',
    }),
    tables: Flags.string({
      helpValue: 'DIR',
      summary: 'Kernel tables of your own device: a folder of Parquet files.',
    }),
    bundle: Flags.string({
      helpValue: 'DIR',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Layer profile of your own device: <org>/<model>/<variant>/tp<N>.',
    }),
    layers: Flags.string({
      helpValue: 'DIR',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'Layer profile of release 0: <org>/<model>/tp<N>.',
    }),
    link: Flags.string({helpValue: 'NAME', summary: 'Link that the collectives were measured on.'}),
    write: Flags.boolean({summary: 'Update the hardware files.'}),
  }

  async run(): Promise<CalibratedDevice[]> {
    const {flags, argv} = await this.parse(HardwareCalibrate)
    const devices = await calibrateCatalogue({
      names: argv as string[],
      data: flags.data,
      own: {tables: flags.tables, bundles: flags.bundle, layers: flags.layers, link: flags.link},
      write: flags.write,
    })
    if (!this.jsonEnabled()) this.log(devices.map(calibrationPage).join('\n\n'))
    return devices
  }
}
