"""People and companies: the host's own tables in production."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ForeignKey,
    Index,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.postgres.tables.base import MADE_HERE, Base


class Profile(Base):
    """A person. In production this is the host's own table, of which `id`, `external_id` and `rut` are needed."""

    __tablename__ = "profiles"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    external_id: Mapped[str | None] = mapped_column(unique=True)
    rut: Mapped[str | None]
    full_name: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    role: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    onboarding: Mapped[dict[str, Any] | None] = mapped_column(JSONB())
    settings: Mapped[dict[str, Any] | None] = mapped_column(JSONB())

    __table_args__ = ({"comment": MADE_HERE},)


class Company(Base):
    """A company. In production this is the host's own table, of which `id`, `external_id` and `rut` are needed."""

    __tablename__ = "companies"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    external_id: Mapped[str | None] = mapped_column(unique=True)
    rut: Mapped[str | None]
    name: Mapped[str | None]
    tax_regime: Mapped[str | None]
    activity: Mapped[str | None]
    legal_representative: Mapped[str | None]
    start_date: Mapped[date | None]
    accounting_start: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    onboarding: Mapped[dict[str, Any] | None] = mapped_column(JSONB())
    settings: Mapped[dict[str, Any] | None] = mapped_column(JSONB())

    __table_args__ = ({"comment": MADE_HERE},)


class CompanyMember(Base):
    """Who sees a company's memories; an `owner` or `admin` of it may also speak for it."""

    __tablename__ = "company_members"

    company_id: Mapped[UUID] = mapped_column(ForeignKey("companies.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("profiles.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(server_default="member")

    __table_args__ = (Index("ix_company_members_user_id", "user_id"), {"comment": MADE_HERE})
