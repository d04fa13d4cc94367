@rem Shows: output, errors, both, and appending
@rem Source: help text of cmd; Stack Overflow 4094699
@echo off
md C:\w
echo first>C:\w\o.txt
echo second>>C:\w\o.txt
type C:\w\o.txt
dir C:\none >C:\w\both.txt 2>&1
find /c "File Not Found" <C:\w\both.txt
nonsense 2>C:\w\err.txt
find /c /v "" C:\w\err.txt
>C:\w\front.txt echo in front
type C:\w\front.txt
echo to errors 1>&2
sort <C:\w\o.txt
