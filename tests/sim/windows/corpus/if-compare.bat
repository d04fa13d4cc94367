@rem Shows: comparing texts, with and without case, and numbers
@rem Source: help text of if (Windows 2000)
@echo off
if abc==abc echo same
if abc==ABC echo wrong
if /i abc==ABC echo same without case
if not "a b"=="a c" echo different
if 10 equ 10 echo equ
if 9 lss 10 echo lss
if 9 leq 9 echo leq
if 10 gtr 9 echo gtr
if 0x10 geq 16 echo geq
if abc lss abd echo text lss
if 1 neq 2 echo neq
if "9" lss "10" echo wrong
