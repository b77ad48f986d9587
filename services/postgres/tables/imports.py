from datetime import datetime

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from services.postgres.tables.base import Base


class ImportedRoomRow(Base):
    """A room that an import brought messages for, new ones or not; `import_run` is the import's first run."""

    __tablename__ = "imported_rooms"

    import_run: Mapped[str] = mapped_column(primary_key=True)
    room_id: Mapped[str] = mapped_column(ForeignKey("rooms.id", ondelete="CASCADE"), primary_key=True, index=True)
    noted_at: Mapped[datetime] = mapped_column(server_default=func.now())
