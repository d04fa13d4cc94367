@rem Shows: lines are shown behind the prompt, except those with an at sign and those after echo off
@rem Source: help text of echo
echo one
@echo two
rem a remark
@echo off
rem unseen
echo three
