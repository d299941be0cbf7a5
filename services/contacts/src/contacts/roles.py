"""Mailboxes that several people read: an equal address of this kind says nothing about who somebody is."""

import re
from typing import Final

PARTS: Final = re.compile(r"[.+_\-\d]+")
ENGLISH: Final = """
    abuse account accounting accounts admin administration administrator admissions advertising all allstaff
    appointments billing board booking bookings bookkeeping bounce bounces bugs business callcenter campaign
    care career careers catering ceo cfo claims client clients complaints compliance contact contactus contracts
    copyright corporate customer customercare customers customerservice cto daemon data delivery desk developers
    dispatch dmarc dns donations donotreply dpo editor editorial education email emergency employees engineering
    enquiries enquiry events everyone export facilities faq fax feedback finance foundation frontdesk ftp
    fundraising general gdpr giving group guest hello help helpdesk hey hi hiring home host hostmaster hotel hr
    humanresources imap info information inquiries inquiry insurance international internship investor investors
    invoice invoices invoicing it jobs journalist leads legal library list listserv login logistics mail mailbox
    mailer mailerdaemon maintenance management marketing media member members membership moderator moderators
    monitoring network news newsletter noc nobody noreply notification notifications office officemanager
    operations ops order orders owner partner partners pay payable payment payments payroll portal post
    postmaster pr press privacy procurement production projects promo property public publicrelations purchasing
    quality query questions quotes receipts reception recruiting recruitment refunds registrar registration
    remove rental rentals replies reply report reports request requests research reservation reservations
    returns root rsvp safety sales scheduling school secretary secretariat security service services shipping
    shop smtp spam sponsors staff store subscribe subscriptions support sysadmin system tax team tech technical
    tenders test testing tickets training travel treasurer unsubscribe usenet uucp volunteer volunteers
    warehouse web webadmin webmaster website welcome whois workshop www
"""
GERMAN: Final = """
    allgemein anfrage anfragen angebot angebote anmeldung annahme auftrag ausbildung ausland azubi bank
    bestellung bestellungen bewerbung bewerbungen buchhaltung buero büro chef datenschutz disposition einkauf
    empfang fahrschule fragen gemeinde geschaeftsfuehrung geschäftsführung geschaeftsleitung hallo
    hausverwaltung hotline kanzlei karriere kasse kontakt kunden kundendienst kundenservice lager leitung lohn
    mahnung personal personalabteilung poststelle praxis presse rechnung rechnungen rechnungswesen redaktion
    reklamation reservierung schule sekretariat servicecenter stadt technik termin termine verein versand
    vertrieb verwaltung vorstand werkstatt willkommen zentrale
"""
OTHERS: Final = """
    accueil achats administracion administrativo administrazione amministrazione atencion atendimento ayuda
    biuro bonjour boutique bureau cliente clientes clienti commande commercial commerciale comercial compras
    compta comptabilite comunicacion comunicazione consultas contabilidad contabilita contacto contato contatti
    contatto correo cotizaciones direccion direction direzione emploi facturacion facturation fatturazione
    faturamento financeiro foretag formation gerencia informacion informacje informatie informatique
    informazioni inkoop inschrijving kantoor klantenservice klub kontor mairie ordini ordre ouvidoria pedidos
    personeelszaken prenotazioni presidenza prensa receptie recepcao recepcion recrutement redaccion redaction
    reservas rh rrhh sac secretaria secretariaat segreteria sklep soporte suporte ufficio vendas vendite ventas
    verkoop vente ventes zamowienia zakupy
"""
LOCAL_PARTS: Final = frozenset(f"{ENGLISH} {GERMAN} {OTHERS}".split())
"""English words with those of RFC 2142, German ones, and those of the languages around."""


def is_role(email: str) -> bool:
    """Whether the normal form of an address is a role's: ``info@``, ``sales.emea@``, ``no-reply@``, ``office2@``.

    The first word before a dot, hyphen, plus sign or digit decides. ``may.sales@`` is a person's; somebody whose
    address begins with ``post.`` is taken for a role, which costs a proposal in place of an automatic link.
    """
    local = email.partition("@")[0]
    return PARTS.split(local, maxsplit=1)[0] in LOCAL_PARTS or PARTS.sub("", local) in LOCAL_PARTS
