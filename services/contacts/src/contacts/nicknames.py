"""Given names with the nicknames that people use for them, in English, German, Spanish and Russian."""

from typing import Final

NICKNAMES: Final = """
    aleksandr: sasha alex; alexander: alex al sandy sasha sascha xander aleksandr lex; alexandra: alex sandra sasha
    sandy lexi; anastasia: nastya stacy; andreas: andi andy; andrew: andy drew; anna: annie anni anja anya; anne:
    annie; anthony: tony; antonia: toni; benjamin: ben benny benji; bernard: bernie; bernhard: bernd berni;
    catherine: cathy kate katie cat; charles: charlie chuck; charlotte: lotte charlie lottie; christian: chris;
    christina: chris tina christl; christine: chris tina; christopher: chris kit; daniel: dan danny; daniela: dani;
    david: dave davy; deborah: debbie deb; dmitri: dima mitya; donald: don donnie; edward: ed eddie ted ned;
    ekaterina: katya; elena: lena; elisabeth: lisa elli lisbeth sissi beth betty liz; elizabeth: liz beth betty
    lizzie eliza lisa; eugene: gene; evgeny: zhenya; frances: fran frankie; francis: frank; francisco: paco pancho;
    frederick: fred freddy; friedrich: fritz friedl; gabriele: gabi; george: georgie; gerald: gerry jerry; gerhard:
    gerd; gregory: greg; guillermo: memo; hans: hansi; heinrich: heinz heiner henry; helene: leni lena; henry: harry
    hank; irina: ira; ivan: vanya; jacob: jake; jakob: jockel; james: jim jimmy jamie; jennifer: jen jenny; jessica:
    jess jessie; johannes: hannes hans; john: jack johnny; jonathan: jon; jose: pepe; josef: sepp; joseph: joe joey;
    joshua: josh; katharina: kathi kati katja käthe; katherine: kate katie kathy kat; kenneth: ken kenny;
    konstantin: kostya; lawrence: larry; leonard: len lenny leo; ludwig: lutz; manfred: manni; margaret: maggie
    peggy meg marge; margarete: grete gretel greta; maria: mia mitzi masha; martina: tina; matthew: matt; matthias:
    matze hias; maximilian: max maxi; michael: mike mick micky michi; michelle: shelly; mikhail: misha; natalia:
    natasha; nicholas: nick nicky; nikolai: kolya; nikolaus: klaus niko; olga: olya; patricia: pat patty tricia
    trish; patrick: pat paddy; peter: pete; philip: phil; rainer: raini; raymond: ray; rebecca: becky becca;
    reinhard: reini; richard: rick dick rich richie; robert: bob rob bobby robbie bert; roland: roli; ronald: ron
    ronnie; rudolf: rudi; samantha: sam; samuel: sam sammy; sergei: seryozha; stefan: steff; stefanie: steffi;
    stephanie: steph; stephen: steve; steven: steve; susan: sue susie; susanne: susi sanne; svetlana: sveta;
    tatiana: tanya; theodore: ted teddy theo; theresa: terry tess; thomas: tom tommy; timothy: tim timmy; ulrich:
    uli ulli; ulrike: uli ulli; ursula: uschi ulla; veronika: vroni; victoria: vicky tori; viktor: vitya; vincent:
    vince vinny; vladimir: volodya vova; walter: walt wally; wilhelm: willi willy; william: bill will billy willie
    liam; wolfgang: wolf wolfi; yuri: yura; zachary: zach
"""
