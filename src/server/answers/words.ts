/** Words that answers are made of: common, and one token each in most vocabularies. */
export const words: readonly string[] =
  `the of and to in is that for it as was with be by on not he his but at are this have from or had an they which
   one you were all her she there would their we him been has when who will no more if out so up said what its about
   than into them can only other time new some could these two may first then do any like my now over such our man
   me even most made after also did many before must through years where much your way well down should because
   each just those people how too little state good very make world still see own work long here get both between
   life being under never day same another know while last might us great old year off come since against go came
   right used take three place system each part number water light music river story house light road garden window
   small large young early late simple clear open free strong quiet bright warm cold deep high low near far
   read write speak think find give tell ask seem feel try leave call keep let begin show hear play run move live
   believe hold bring happen provide sit stand lose pay meet include continue set learn change lead understand watch
   follow stop create allow add spend grow walk win offer remember love consider appear buy wait serve die send
   expect build stay fall cut reach kill remain suggest raise pass sell require report decide pull answer question
   model data test result form line point end name side hand head eye face door room land air fire sea sky stone
   tree book letter word language school city country family child mother father friend group company market price
   cost plan idea reason fact case sense mind heart body power force law order rule method process step level rate
   area field office team service program project history science art nature energy paper table picture sound voice`
    .split(/\s+/)
    .filter((word, i, all) => all.indexOf(word) === i)

export const capitalised = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1)
