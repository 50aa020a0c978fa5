"""Binary nets as packed bits: conversion, integer arithmetic and file format."""
